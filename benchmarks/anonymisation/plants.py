"""Identifiers to plant, each kind as its public specification describes it. Knows nothing of how they are looked for.

Sources: E.164 and national numbering plans; ISO 13616 (IBAN); ISO/IEC 7812 (cards); SSA and IRS on numbers; RFC 4291, RFC
1123; ICAO 9303 and national passports; DVLA and AAMVA on licences; NHS Data Dictionary; ABA; IEEE 802; BIP 13, BIP 173,
EIP-55 (wallets); the EU's VIES on VAT numbers; the issuers' documentation of their tokens. All numbers are drawn at random.
"""

from __future__ import annotations

import hashlib
import ipaddress
import random
import string
from collections.abc import Callable

Draw = Callable[[random.Random], str]
DOMAINS = ("com", "de", "co.uk", "org", "fr", "io", "edu", "gov.au", "com.br", "jp", "museum")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
AREAS = (201, 206, 212, 303, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 808, 905, 416, 604, 514)
GIVEN = """Anna Peter Maria Thomas Sophie Lukas Emma Oliver Charlotte George Camille Pierre Giulia Marco Lucia Javier
Joana Tiago Ingrid Lars Katarzyna Piotr Olga Dmitri Elif Mehmet Fatima Omar Layla Yusuf Priya Arjun Ananya Rahul Mei Wei
Yuki Haruto Jisoo Minjun Linh Chidi Amara Kwame Zanele Thabo Aroha Malia Mateo Valentina""".split()  # noqa: SIM905
FAMILY = """Meier Fischer Novak Kowalski Jensen Lindqvist Dubois Moreau Rossi Conti Fernandez Molina Pereira Santos
Papadopoulos Ivanov Petrenko Yilmaz Kaya Haddad Rahman Hussein Patel Iyer Banerjee Zhang Chen Tanaka Watanabe Kim Park
Nguyen Tran Okafor Mensah Dlamini Nkosi Walker Thompson O'Brien MacDonald Garcia Rodriguez Silva Kealoha Ngata Cohen Levi
Bergstrom Vandenberg""".split()  # noqa: SIM905


def digits(r: random.Random, count: int) -> str:
    """Random digits."""
    return "".join(r.choices(string.digits, k=count))


def letters(r: random.Random, count: int, of: str = string.ascii_uppercase) -> str:
    """Random letters."""
    return "".join(r.choices(of, k=count))


def filled(r: random.Random, form: str) -> str:
    """`#` becomes a digit, `%` a digit from 1, `@` a letter, `*` either; all else stays."""
    draw = {
        "#": string.digits,
        "%": "123456789",
        "@": string.ascii_uppercase,
        "*": string.ascii_uppercase + string.digits,
    }
    return "".join(r.choice(draw[c]) if c in draw else c for c in form)


def email(r: random.Random) -> str:
    """RFC 5321, as people have them."""
    first, last = r.choice(GIVEN).lower(), r.choice(FAMILY).lower().replace("'", "")
    local = r.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{r.randrange(100)}", f"{last}+news", first,
                      f"{first}-{last}", f"{first.title()}.{last.title()}"))  # fmt: skip
    host = r.choice(("acme", "mail.north-wind", "uni-süd", "posteo", "dept.health", "x7"))
    return f"{local}@{host}.{r.choice(DOMAINS)}"


def telephone(r: random.Random) -> str:
    """North American, British, German, French, Indian, Australian, Japanese; national and international."""
    area, exchange = str(r.choice(AREAS)), f"{r.randrange(2, 10)}{r.randrange(2, 10)}{r.randrange(10)}"
    line = digits(r, 4)
    return r.choice((
        f"({area}) {exchange}-{line}", f"{area}-{exchange}-{line}", f"{area}.{exchange}.{line}",
        f"+1 {area} {exchange} {line}", f"1-{area}-{exchange}-{line}", f"+1{area}{exchange}{line}",
        f"+1 ({area}) {exchange}-{line}", f"{area} {exchange} {line}",
        filled(r, "020 7%## ####"), filled(r, "07700 9#####"), filled(r, "+44 7700 9#####"), filled(r, "+44 20 7%## ####"),
        filled(r, "+44 (0)20 7%## ####"), filled(r, "0161 496 0###"),
        filled(r, "+49 30 %######"), filled(r, "+49 (0)89 %######"), filled(r, "0151 %#######"), filled(r, "030 / %######"),
        filled(r, "+33 1 4# ## ## ##"), filled(r, "06 %# ## ## ##"), filled(r, "+33 6 %# ## ## ##"),
        filled(r, "+91 98### #####"), filled(r, "+61 2 9%## ####"), filled(r, "+81 3-%###-####"),
        filled(r, "+55 11 9%###-####"), filled(r, "+351 21# ### ###"),
    ))  # fmt: skip


def iban(r: random.Random) -> str:
    """ISO 13616: country, check digits by ISO 7064 mod 97-10, the account in the country's form."""
    country, form = r.choice((
        ("DE", "#" * 18), ("AT", "#" * 16), ("CH", "#" * 5 + "*" * 12), ("GB", "@@@@" + "#" * 14), ("NL", "@@@@" + "#" * 10),
        ("FR", "#" * 10 + "*" * 11 + "##"), ("IT", "@" + "#" * 10 + "*" * 12), ("ES", "#" * 20), ("BE", "#" * 12),
        ("NO", "#" * 11), ("PL", "#" * 24), ("SE", "#" * 20), ("MT", "@@@@#####" + "*" * 18), ("IE", "@@@@" + "#" * 14),
    ))  # fmt: skip
    account = filled(r, form)
    number = int("".join(str(int(c, 36)) for c in f"{account}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{account}"
    return whole if r.random() < 0.5 else " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))


def luhn_digit(payload: str) -> str:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(payload)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return str(-total % 10)


def card(r: random.Random) -> str:
    """Visa, Mastercard (both ranges), American Express, Discover, Diners, JCB."""
    prefix, length = r.choice((("4", 16), (f"5{r.randrange(1, 6)}", 16), (str(r.randrange(2221, 2721)), 16), ("34", 15),
                               ("37", 15), ("6011", 16), ("65", 16), ("36", 14), (f"35{r.randrange(28, 90)}", 16)))  # fmt: skip
    payload = prefix + digits(r, length - 1 - len(prefix))
    whole, mark = payload + luhn_digit(payload), r.choice(("", " ", "-"))
    cuts = {16: (4, 8, 12), 15: (4, 10), 14: (4, 10)}[length]
    parts = [whole[a:b] for a, b in zip((0, *cuts), (*cuts, length), strict=True)]
    return mark.join(parts)


def ssn(r: random.Random) -> str:
    """SSA: area 001-899 without 666, group 01-99, serial 0001-9999."""
    area = r.choice([a for a in range(1, 900) if a != 666])
    mark = r.choice(("-", "-", " ", ""))
    return mark.join((f"{area:03d}", f"{r.randrange(1, 100):02d}", f"{r.randrange(1, 10_000):04d}"))


def ip(r: random.Random) -> str:
    """A public address, IPv4 or IPv6, the latter whole or compressed."""
    while True:
        if r.random() < 0.5:
            four = ipaddress.IPv4Address(r.getrandbits(32))
            if four.is_global and not four.is_multicast:
                return str(four)
        else:
            six = ipaddress.IPv6Address((0x2A00 + r.randrange(16) << 112) | r.getrandbits(96))
            if six.is_global:
                return r.choice((str(six), six.exploded, six.exploded.upper()))


def passport(r: random.Random) -> str:
    """United States, United Kingdom, Germany, France, India, Canada, Australia."""
    german = "C" + letters(r, 8, "CFGHJKLMNPRTVWXYZ0123456789")
    forms = ("%########", "@########", "##@@#####", "@%######", "@@######", "@@#######")
    return r.choice((*(filled(r, f) for f in forms), german if any(c.isdigit() for c in german[1:]) else "C01X00T47"))


def licence(r: random.Random) -> str:
    """Great Britain (with its own structure), and a choice of American and German forms."""
    surname = (r.choice(FAMILY).upper().replace("'", "")[:5]).ljust(5, "9")
    born = f"{r.randrange(10)}{r.choice((0, 5))}{r.randrange(1, 10)}{r.randrange(1, 29):02d}{r.randrange(10)}"
    british = f"{surname}{born}{letters(r, 1)}{r.choice('9AEJKLM')}{r.choice('987')}{letters(r, 2)}"
    forms = (
        "@#######",
        "#########",
        "@############",
        "@###-###-##-###-#",
        "%#######",
        "@###########",
        "@####-####-####",
    )
    return r.choice((british, british, *(filled(r, f) for f in forms), filled(r, "@###*#####") + "1"))


def nhs(r: random.Random) -> str:
    """NHS Data Dictionary: ten digits, the last by modulus 11."""
    while True:
        payload = str(r.randrange(400_000_000, 799_999_999))
        check = 11 - sum(int(d) * w for d, w in zip(payload, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            whole = payload + str(check % 11)
            return r.choice((whole, f"{whole[:3]} {whole[3:6]} {whole[6:]}", f"{whole[:3]}-{whole[3:6]}-{whole[6:]}"))


def record(r: random.Random) -> str:
    """Hospitals' own numbers: six to ten digits, with a letter or a dash in some."""
    return filled(
        r,
        r.choice(("%#####", "00######", "%#########", "@%######", "MR-######", "##-##-##", "@@%#####", "%##-###-###")),
    )


def bank(r: random.Random) -> str:
    """American routing numbers with their checksum, account numbers, British sort code and account."""
    payload = f"{r.choice((*range(1, 13), *range(21, 33))):02d}{digits(r, 6)}"
    check = -sum(int(d) * w for d, w in zip(payload, (3, 7, 1, 3, 7, 1, 3, 7), strict=True)) % 10
    return r.choice((f"{payload}{check}", filled(r, "%#######"), filled(r, "%#########"), filled(r, "00##########"),
                     filled(r, "##-##-## ########"), filled(r, "%###########"), filled(r, "#### ####")))  # fmt: skip


def mac(r: random.Random) -> str:
    """IEEE 802, in the three common notations."""
    pairs = [f"{r.randrange(256):02x}" for _ in range(6)]
    whole = "".join(pairs)
    dotted = f"{whole[:4]}.{whole[4:8]}.{whole[8:]}"
    return r.choice((":".join(pairs), ":".join(pairs).upper(), "-".join(pairs).upper(), dotted))


def secret(r: random.Random) -> str:
    """Tokens in their issuers' forms, URLs with a login, a signed web token. Of a phrase, what is secret stands in NULs."""
    word, alnum = string.ascii_letters + string.digits, lambda n: letters(r, n, string.ascii_letters + string.digits)
    host = r.choice(("db.north.example.com", "cache-1.internal", "git.acme.org:8443"))
    login = f"{r.choice(GIVEN).lower()}:{letters(r, r.randrange(8, 20), word + '_-.!')}"
    web = ".".join(("eyJ" + alnum(33), "eyJ" + alnum(60), alnum(43)))
    return r.choice((
        "AKIA" + letters(r, 16, string.ascii_uppercase + "234567"), "ghp_" + alnum(36), "github_pat_" + alnum(22) + "_" + alnum(59),
        f"xoxb-{digits(r, 12)}-{digits(r, 12)}-{alnum(24)}", "AIza" + alnum(35), "sk_live_" + alnum(24), web,
        "glpat-" + alnum(20), "hf_" + letters(r, 34, string.ascii_letters), "npm_" + alnum(36), "sk-proj-" + alnum(48),
        f"https://\0{login}\0@{host}/app", f"postgresql://\0{login}\0@{host}/prod", f"redis://:\0{alnum(16)}\0@{host}/0",
        f"https://{host}/hook?token=\0{alnum(32)}\0", f"https://{host}/v1?id=7&api_key=\0{alnum(24)}\0",
        f"Authorization: Bearer \0{alnum(40)}\0", f"password=\0{alnum(14)}\0", f'api_key: "\0{alnum(32)}\0"',
        f"client_secret = '\0{alnum(28)}\0'",
    ))  # fmt: skip


def _base58check(version: bytes, payload: bytes) -> str:
    raw = version + payload
    raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top, checksum = checksum >> 25, (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> i & 1 else 0
    return checksum


def wallet(r: random.Random) -> str:
    """Bitcoin (base58check and bech32) and Ethereum."""
    payload = r.randbytes(20)
    bits = "".join(f"{byte:08b}" for byte in payload)
    data = [0, *(int(bits[i : i + 5], 2) for i in range(0, 160, 5))]
    expanded = [3, 3, 0, 2, 3]  # the human-readable part `bc`
    rest = _polymod([*expanded, *data, 0, 0, 0, 0, 0, 0]) ^ 1
    bech32 = "bc1" + "".join(BECH32[d] for d in [*data, *(rest >> 5 * (5 - i) & 31 for i in range(6))])
    return r.choice((_base58check(b"\0", payload), _base58check(b"\5", payload), bech32, f"0x{payload.hex()}"))


def tax(r: random.Random) -> str:
    """VAT numbers as VIES lists them; EIN and ITIN of the IRS; the British UTR and national insurance number."""
    vat = ("DE#########", "GB### #### ##", "FR##%########", "NL#########B##", "ATU########", "IT###########", "ES@########",
           "PL##########", "IE%######@@", "BE0#########", "DK########", "SE##########01", "CHE-###.###.###")  # fmt: skip
    other = (
        "%%-%######",
        f"9##-{r.randrange(70, 89)}-%###",
        "%#########",
        f"{r.choice(('AB', 'CE', 'JX', 'ST'))} ## ## ## C",
    )
    return filled(r, r.choice(vat) if r.random() < 0.7 else r.choice(other))


def plate(r: random.Random) -> str:
    """British, German, French, Californian, Spanish, Dutch."""
    forms = ("@@##@@@", "@@## @@@", "@-@@ %###", "@@@-@ %##", "@@-###-@@", "%@@@###", "#### BCD", "%-@@@-##")
    return filled(r, r.choice(forms))


def born(r: random.Random) -> str:
    """A day of the last century as people and programs write it."""
    year, month, day = r.randrange(1930, 2008), r.randrange(1, 13), r.randrange(1, 29)
    name = r.choice((MONTHS[month - 1], MONTHS[month - 1][:3]))
    return r.choice((f"{year}-{month:02d}-{day:02d}", f"{day:02d}/{month:02d}/{year}", f"{day}.{month}.{year}",
                     f"{day:02d}.{month:02d}.{year}", f"{day} {name} {year}", f"{name} {day}, {year}", f"{month}/{day}/{year}",
                     f"{day:02d}-{month:02d}-{year}", f"{day}th {name} {year}",
                     f"{day:02d}/{month:02d}/{year % 100:02d}"))  # fmt: skip


def person(r: random.Random) -> str:
    """A given and a family name of some culture, at times an initial, a double name or the family name alone."""
    first, last = r.choice(GIVEN), r.choice(FAMILY)
    return r.choice((f"{first} {last}", f"{first} {last}", f"{first} {last}", f"{first} {letters(r, 1)}. {last}",
                     f"{first[0]}. {last}",
                     f"{first} {last}-{r.choice(FAMILY)}", last))  # fmt: skip


PLANTS: dict[str, Draw] = {
    "EMAIL_ADDRESS": email,
    "PHONE_NUMBER": telephone,
    "IBAN_CODE": iban,
    "CREDIT_CARD": card,
    "US_SSN": ssn,
    "IP_ADDRESS": ip,
    "PASSPORT": passport,
    "DRIVING_LICENCE": licence,
    "UK_NHS": nhs,
    "MEDICAL_RECORD": record,
    "BANK_ACCOUNT": bank,
    "MAC_ADDRESS": mac,
    "SECRET": secret,
    "CRYPTO": wallet,
    "TAX_NUMBER": tax,
    "LICENCE_PLATE": plate,
    "DATE_OF_BIRTH": born,
    "PERSON": person,
}
