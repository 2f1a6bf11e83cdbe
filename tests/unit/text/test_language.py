"""The language of a text, and silence where there is too little of it."""

from __future__ import annotations

import itertools

import pytest

from metier.text.language import foreign_language, known_languages, language

TEXTS = {
    "en": ["The fee is due within fourteen days after the invoice was received.",
           "Patients should not eat before the blood test.",
           "Each worker keeps its own copy of the table in memory.",
           "The court decides on the appeal without a hearing."],
    "de": ["Die Gebühr ist innerhalb von vierzehn Tagen nach Erhalt der Rechnung fällig.",
           "Vor der Blutabnahme sollen Patienten nichts essen.",
           "Jeder Prozess hält eine eigene Kopie der Tabelle im Speicher.",
           "Das Gericht entscheidet ohne Verhandlung über die Berufung."],
    "fr": ["Les frais sont dus dans les quatorze jours suivant la réception de la facture.",
           "Les patients ne doivent pas manger avant la prise de sang.",
           "Chaque processus garde sa propre copie de la table en mémoire.",
           "Le tribunal statue sur l'appel sans audience."],
    "es": ["La tasa vence a los catorce días de haber recibido la factura.",
           "Los pacientes no deben comer antes del análisis de sangre.",
           "Cada proceso guarda en memoria su propia copia de la tabla.",
           "El tribunal decide sobre el recurso sin celebrar vista."],
    "it": ["La tassa è dovuta entro quattordici giorni dal ricevimento della fattura.",
           "I pazienti non devono mangiare prima del prelievo di sangue.",
           "Ogni processo tiene in memoria la propria copia della tabella.",
           "Il tribunale decide sul ricorso senza udienza."],
    "nl": ["De vergoeding moet binnen veertien dagen na ontvangst van de factuur worden betaald.",
           "Patiënten mogen voor het bloedonderzoek niet eten.",
           "Elk proces houdt een eigen kopie van de tabel in het geheugen.",
           "De rechtbank beslist zonder zitting over het beroep."],
    "pl": ["Opłata jest należna w ciągu czternastu dni od otrzymania faktury.",
           "Pacjenci nie powinni jeść przed badaniem krwi.",
           "Każdy proces przechowuje w pamięci własną kopię tabeli.",
           "Sąd rozstrzyga odwołanie bez rozprawy."],
}  # fmt: skip


def test_pairs_of_sentences_of_seven_languages_are_told_apart():
    found = [(code, language(f"{a} {b}")[0]) for code, texts in TEXTS.items() for a, b in itertools.pairwise(texts)]
    assert [pair for pair in found if len(set(pair)) > 1] == []


@pytest.mark.parametrize("code", TEXTS)
def test_a_text_is_foreign_where_another_language_is_wanted(code):
    text = " ".join(TEXTS[code])
    assert foreign_language(text, [code]) == foreign_language(text, []) == ""
    assert foreign_language(text, ["fi"]).startswith(f"language {code} (")


@pytest.mark.parametrize(
    "text", ["", "256", "`import ray; ray.init(address='auto', namespace='production')`", "Sí, claro."]
)
def test_too_little_text_is_in_no_other_language(text):
    assert foreign_language(text, ["en"]) == ""


def test_the_languages_are_known_by_their_codes():
    assert set(TEXTS) <= known_languages()
