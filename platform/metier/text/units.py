"""Units of measure: the dimension of each and its factor to the dimension's base unit. Days and months stay apart."""

from __future__ import annotations

# dimension, factor, names. Months and years are no multiple of a day, so they are another dimension.
_TABLE = """
time         0.001       ms millisecond
time         1           s sec second
time         60          min minute
time         3600        h hr hour
time         86400       day
time         604800      week
time         1209600     fortnight
calendar     1           month
calendar     3           quarter
calendar     12          year yr
mass         0.000001    µg mcg microgram
mass         0.001       mg milligram
mass         1           g gram
mass         1000        kg kilogram kilo
mass         1000000     tonne ton
volume       0.001       ml millilitre milliliter
volume       1           l litre liter
length       0.001       mm millimetre millimeter
length       0.01        cm centimetre centimeter
length       1           m metre meter
length       1000        km kilometre kilometer
length       1609.344    mile
length       0.0254      inch inches
length       0.3048      ft foot feet
data         1           byte
data         1000        kb kilobyte kib
data         1000000     mb megabyte mib
data         1000000000  gb gigabyte gib
data         1000000000000  tb terabyte tib
percent      1           % percent per_cent
temperature  1           °c celsius degree_celsius degrees_celsius
fahrenheit   1           °f fahrenheit degree_fahrenheit degrees_fahrenheit
eur          1           € eur euro
usd          1           $ usd dollar
gbp          1           £ gbp pound
jpy          1           ¥ jpy yen
chf          1           chf franc
"""

UNITS: dict[str, tuple[str, float]] = {
    name.replace("_", " "): (dimension, float(factor))
    for dimension, factor, *names in map(str.split, _TABLE.strip().split("\n"))
    for name in names
}
SLACK = {"data": 0.1}  # relative, for prefixes of 1000 or of 1024; of other dimensions none
CALENDAR_SLACK = 0.1  # between days and months
DEGREES = 0.5  # what rounding makes of a temperature
MONTH = 2_629_746.0  # seconds, the mean of the Gregorian calendar


def unit(name: str) -> tuple[str, float] | None:
    """The dimension and factor of a unit's name in lower case, in the singular or plural."""
    return UNITS.get(name) or UNITS.get(name.removesuffix("s"))


def celsius(value: float, dimension: str) -> tuple[float, str]:
    """A temperature in degrees Celsius; anything else as it is."""
    return ((value - 32) * 5 / 9, "temperature") if dimension == "fahrenheit" else (value, dimension)
