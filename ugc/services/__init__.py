"""The verbs of questions and reviews (states.md): bases of their models, which they live with."""
