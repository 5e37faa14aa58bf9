"""Functions: AWS Lambda for real. Managed Python and Node.js runtimes in processes forked from warm keepers."""
