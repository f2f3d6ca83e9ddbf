# The application with its locked packages, run by an ordinary user. compose.yaml adds the database.
FROM python:3.13.5-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
RUN useradd --create-home ebalance && mkdir .data && chown ebalance:ebalance /app .data
COPY --chown=ebalance:ebalance . .
USER ebalance
EXPOSE 8000
CMD ["python", "manage.py", "run", "--bind", "0.0.0.0"]
