"""The remedy in each refusal: the operation to write instead. CONTRIBUTING.md has recipes."""

CONTRACT = (
    "Declare it: Contract(expand=…, released=…) in a later release than the migration that "
    "replaces it."
)
RENAME = "Add the new one, backfill it, switch the code, and drop the old one in a later release."
INDEX = "Write AddIndexConcurrently from ebalance.db.operations."
UNIQUE = "Write AddUnique from ebalance.db.operations, which builds its index without a lock."
CONSTRAINT = (
    "Write AddCheck or AddForeignKey from ebalance.db.operations: NOT VALID, then validated."
)
CHANGED_CHECK = (
    "Write ReplaceCheck from ebalance.db.operations: the new rule holds before the old one goes."
)
CHANGED_RULE = (
    "Add the rule under another name, and drop this one with a Contract in a later release."
)
NOT_NULL = "Write SetNotNull from ebalance.db.operations, after a Backfill of the empty rows."
REQUIRED_COLUMN = (
    "Clients of the previous release cannot insert a row. Give the column a db_default, or add it "
    "with null=True, then Backfill and SetNotNull."
)
VOLATILE = (
    "The table would be rewritten. Add the column with null=True, set its default by AlterField, "
    "then Backfill and SetNotNull."
)
REWRITE = "Add a new column, backfill it, switch the code, and drop the old one in a later release."
FUNCTION = "Write ReplaceFunction from ebalance.db.operations, which checks the stored rows again."
EXCLUSION = (
    "An EXCLUDE cannot be NOT VALID: add it with a new table, and backfill the rows into that."
)
USED_BY_EXCLUDE = (
    "It cannot be rebuilt beside the writers of its table. Make a function of another name, and a "
    "new table whose EXCLUDE uses it."
)
ONLY_NOT_NULL = "Write the other changes as AlterField in a migration before this one."
ROWS = 'Declare it: Contract(…, drops=["rows <table>"]).'
MANY_ROWS = "Declare a Backfill, which works in small batches beside the clients."
OUTSIDE_TRANSACTION = "A loss could not be rolled back. Remove atomic=False from RunPython."
ENDS_TRANSACTION = "Remove BEGIN and COMMIT: `migrate` opens the transaction of each step."
