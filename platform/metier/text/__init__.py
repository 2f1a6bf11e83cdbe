"""Documents as text: parsing, reflection on Python packages, sections and facts. Plain functions that know no Ray."""
