"""What was made from what: fingerprints, artifacts, manifests, receipts, and the tables inside them."""
