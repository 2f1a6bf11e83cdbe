"""One verb a file: constants, Config, a pure operator, `run`, STAGE. `catalogue` lists them all."""
