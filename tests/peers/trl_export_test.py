"""The lines of an export are datasets as TRL documents them ("Dataset formats").

Python's json reads every line; where `datasets` is installed, its JSON loader builds each dataset too.
"""

import json
import random

import pytest

from support import probes

# Column: what it holds. "text" is a string, "turns" a list of {"role", "content"}, "flag" a boolean.
COLUMNS = {
    ("PREFERENCE", "CONVERSATIONAL"): {"prompt": "turns", "chosen": "turns", "rejected": "turns"},
    ("UNPAIRED", "CONVERSATIONAL"): {"prompt": "turns", "completion": "turns", "label": "flag"},
    ("SFT", "CONVERSATIONAL"): {"messages": "turns"},
    ("PREFERENCE", "STANDARD"): {"prompt": "text", "chosen": "text", "rejected": "text"},
    ("UNPAIRED", "STANDARD"): {"prompt": "text", "completion": "text", "label": "flag"},
    ("SFT", "STANDARD"): {"prompt": "text", "completion": "text"},
}
ROLES = ("system", "user", "assistant", "tool")
ANSWERS = 300
PROMPTS = 12
# Texts that have broken writers of JSON lines.
TEXTS = ['"quoted" \\ back', "line\nend\r\n", "\u2028 and \u2029 and \u0085", "\x00\x01\x1f\x7f", "é 漢字 😀 \U0010ffff",
         "</script>", "{\"role\": \"user\"}", " ", "\ufffd\ufeff", "long " * 5000]


def vote_of(messages, chance, other):
    vote = messages.Vote()
    kind = chance.choice(("thumb", "stars", "correction", "preference") if other else ("thumb", "stars", "correction"))
    if kind == "thumb":
        vote.thumb = chance.choice((messages.THUMB_GOOD, messages.THUMB_BAD))
    elif kind == "stars":
        vote.stars = chance.randint(1, 5)
    elif kind == "correction":
        vote.correction = chance.choice(TEXTS)
    else:
        vote.preference.other_response_id, vote.preference.other_vote_token = other
        vote.preference.outcome = chance.randint(1, 3)
    return vote


def answer_to(messages, common, chance, number):
    """(prompt's index, answer): half chats, half continuations."""
    prompt = chance.randrange(PROMPTS)
    answer = messages.RecordRequest(response_id=f"r{number}", text=f"{chance.choice(TEXTS)}{chance.randrange(3)}")
    if prompt % 2:
        answer.prompt = f"{prompt} {TEXTS[prompt % len(TEXTS)]}"
    else:
        answer.messages.add(role=common.ROLE_SYSTEM, content=TEXTS[prompt % len(TEXTS)])
        answer.messages.add(role=common.ROLE_USER, content=f"{prompt}")
    return prompt, answer


@pytest.fixture(scope="module")
def exports(tmp_path_factory, stubs):
    """(format, style): the lines of a store with ratings of every kind."""
    folder = tmp_path_factory.mktemp("feedback")
    messages, common, services = stubs.feedback_pb2, stubs.common_pb2, stubs.feedback_pb2_grpc
    chance = random.Random(7)
    with probes.ServiceProbe("feedback", folder / "data", folder / "s") as probe:
        stub = services.FeedbackServiceStub(probe.channel)
        waiting = {}
        for number in range(ANSWERS):
            prompt, answer = answer_to(messages, common, chance, number)
            token = stub.Record(answer, timeout=probes.CALL_LIMIT_S).vote_token
            if chance.random() < 0.3:
                waiting[prompt] = (answer.response_id, token)
                continue
            other = waiting.pop(prompt, None)
            vote = vote_of(messages, chance, other)
            stub.Rate(messages.RateRequest(response_id=answer.response_id, vote_token=token, vote=vote),
                      timeout=probes.CALL_LIMIT_S)
        yield {(name, style): [line.json_line for line in stub.Export(messages.ExportRequest(
            format=messages.ExportFormat.Value(f"EXPORT_FORMAT_{name}"),
            style=messages.ExportStyle.Value(f"EXPORT_STYLE_{style}")), timeout=probes.CALL_LIMIT_S)]
            for name, style in COLUMNS}
        probe.stop()


def holds(kind, value):
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "text":
        return isinstance(value, str)
    return (isinstance(value, list) and len(value) > 0 and all(
        turn.keys() == {"role", "content"} and turn["role"] in ROLES and isinstance(turn["content"], str)
        for turn in value))


@pytest.mark.parametrize("what", COLUMNS, ids="-".join)
def test_lines_have_exactly_the_documented_columns(exports, what):
    lines = exports[what]
    assert len(lines) > 10, "too few lines to prove anything"
    for line in lines:
        assert line.splitlines() == [line]
        row = json.loads(line)
        assert row.keys() == COLUMNS[what].keys()
        for column, kind in COLUMNS[what].items():
            assert holds(kind, row[column]), (column, row[column])


@pytest.mark.parametrize("style", ("CONVERSATIONAL", "STANDARD"))
def test_chosen_and_rejected_differ_and_answer_the_prompt(exports, style):
    for line in exports["PREFERENCE", style]:
        row = json.loads(line)
        assert row["chosen"] != row["rejected"]
        if style == "CONVERSATIONAL":
            assert [turn["role"] for turn in row["prompt"]] == ["system", "user"]
            assert [turn["role"] for turn in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]


def test_sft_conversations_end_with_the_answer(exports):
    for line in exports["SFT", "CONVERSATIONAL"]:
        assert json.loads(line)["messages"][-1]["role"] == "assistant"


@pytest.mark.parametrize("what", COLUMNS, ids="-".join)
def test_the_datasets_loader_reads_them(exports, what, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the datasets package is not installed")
    file = tmp_path / "export.jsonl"
    file.write_text("".join(line + "\n" for line in exports[what]), encoding="utf-8")
    loaded = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names == list(COLUMNS[what])
    assert loaded.to_list() == [json.loads(line) for line in exports[what]]
