# SPDX-License-Identifier: BSD-2-Clause
"""The manual and docs/json.md name everything that the program knows. No network needed."""

import glob
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def sources():
    return "\n".join(text_of(path) for path in sorted(glob.glob(os.path.join(ROOT, "src", "cli", "*.c"))))


def missing(names, text):
    return sorted(name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text))


def test_events_are_documented(programs):  # pylint: disable=unused-argument
    events = set(re.findall(r'report_(?:event|log|answer)\(\s*[^,]+,\s*"(\w+)"', sources()))
    assert {"path", "connected", "netcheck", "diagnosis", "reply", "statistics", "step", "relayed"} <= events, events
    manual, contract = text_of("docs", "eyelet.1.scd"), text_of("docs", "json.md")
    assert not missing(events, manual) and not [event for event in events if f"**{event}**" not in contract], events


def test_codes_of_errors_are_documented(programs):  # pylint: disable=unused-argument
    codes = set(re.findall(r'\{OUTCOME_\w+,\s*"([\w-]+)"', sources()))
    assert {"relay-refused", "no-direct-path", "usage"} <= codes, codes
    assert not missing(codes, text_of("docs", "json.md")), missing(codes, text_of("docs", "json.md"))


def test_fields_of_a_network_are_documented(programs):  # pylint: disable=unused-argument
    body = text_of("src", "cli", "network.c").split("json_t *network_json")[1]
    fields = set(re.findall(r'"([a-z_0-9]{3,})"', body)) - {"yes"}
    assert len(fields) > 20, fields
    assert not missing(fields, text_of("docs", "json.md")), missing(fields, text_of("docs", "json.md"))


def test_options_and_verbs_are_documented(programs):
    manual = text_of("docs", "eyelet.1.scd")
    options = re.findall(r'\{"([\w-]+)", (?:no|required)_argument', text_of("src", "cli", "options.c"))
    assert len(options) > 15, options
    assert not missing([f"--{option}" for option in options], manual), missing([f"--{option}" for option in options], manual)
    usage = subprocess.run([programs.existing(programs.eyelet), "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    verbs = re.findall(r"^  eyelet (\w+)", usage, flags=re.M)
    assert "netcheck" in verbs and "ping" in verbs, usage
    assert not [verb for verb in verbs if f"*{verb}*" not in manual], verbs
    variables = set(re.findall(r'"(EYELET_[A-Z_]+)"', sources()))
    assert not missing(variables, manual), missing(variables, manual)
