"""What other systems can build on, written out of the code: JSON Schemas, the AsyncAPI document, and their check."""
