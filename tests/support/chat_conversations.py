"""Conversations that chat templates are compared on: name -> variables as apply_chat_template passes them."""

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city, \"now\" <or> later & more",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Größe: 日本"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "array", "items": {"type": "integer"}, "nullable": True},
                "options": {"type": "object", "properties": {"deep": {"type": ["boolean", "null"]}}},
                "ratio": {"type": "number", "minimum": 0.5, "description": ""},
            },
            "required": ["city"],
        },
    },
}
TIME_TOOL = {
    "type": "function",
    "function": {"name": "get_time", "description": "Time", "parameters": {"type": "object", "properties": {}}},
}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **extra):
    return {"role": "assistant", "content": content, **extra}


def system(content):
    return {"role": "system", "content": content}


def tool_call(name, arguments, call_id="abc123def"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


TOOL_TURNS = [
    user("Weather in Köln?"),
    assistant("", tool_calls=[tool_call("get_weather", {"city": "Köln", "days": [1, 2], "deep": None, "ok": True})]),
    {"role": "tool", "content": '{"temperature": 21.5}', "name": "get_weather", "tool_call_id": "abc123def"},
    assistant("It is 21.5 degrees."),
    user("Thanks"),
]
TWO_CALLS = [
    system("Use tools."),
    user("Weather and time?"),
    assistant(None, tool_calls=[tool_call("get_weather", {"city": "Rome"}, "callaaaa1"),
                                tool_call("get_time", {}, "callaaaa2")]),
    {"role": "tool", "content": "sunny", "name": "get_weather", "tool_call_id": "callaaaa1"},
    {"role": "tool", "content": "12:00", "name": "get_time", "tool_call_id": "callaaaa2"},
]
TEXT_ARGUMENTS = [
    user("Weather?"),
    assistant("Let me see.", tool_calls=[tool_call("get_weather", '{"city": "Rome"}')]),
    {"role": "tool", "content": "sunny", "tool_call_id": "abc123def"},
]
THINKING = [
    system("Think."),
    user("1+1?"),
    assistant("<think>\nTwo ones\n</think>\n\n2", reasoning_content="adding"),
    user("And 2+2?"),
    assistant("4", reasoning_content="  more adding\n", thinking="quietly"),
    user("Sure?"),
]
PARTS = [
    {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]},
    assistant([{"type": "text", "text": "A cat"}]),
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "And now?"}]},
]

MESSAGES = {
    "one user": [user("Hello")],
    "system and user": [system("You are kind."), user("Hello")],
    "several turns": [user("Hi"), assistant("Hello!"), user("How are you?"), assistant("Fine."), user("Good.")],
    "system, several turns": [system("  Be brief. \n"), user(" Hi\n"), assistant("\nHello! "), user("Bye")],
    "unicode": [system("Ünïcödé"), user("naïve café — 日本語 🎉\u2028 <b>&amp;</b> \"q\" 'a'"), assistant("Ωμέγα ß")],
    "empty contents": [system(""), user(""), assistant(""), user("")],
    "ends with assistant": [user("Hi"), assistant("Partial")],
    "two users in a row": [user("a"), user("b")],
    "starts with assistant": [assistant("Hi"), user("b")],
    "unknown role": [user("a"), {"role": "critic", "content": "b"}],
    "no content": [{"role": "user"}],
    "no messages": [],
    "developer": [{"role": "developer", "content": "Rules"}, user("a")],
    "whitespace": [user("\n\n  line\n   \n\tindented\n\n"), assistant(" \n"), user("x\r\ny")],
    "thinking": THINKING,
    "parts": PARTS,
    "named": [{"role": "user", "content": "a", "name": "Ann"}, assistant("b", name="Bot"), user("c")],
}
OPTIONS = {
    "thinking on": {"enable_thinking": True, "thinking": True},
    "thinking off": {"enable_thinking": False, "thinking": False, "reasoning_effort": "low"},
    "more options": {"date_string": "1 Jan 2024", "custom_tools": None, "builtin_tools": ["wiki"],
                     "reasoning_effort": "high", "model_identity": "You are X.", "preserve_thinking": True},
    "documents": {"documents": [{"title": "T", "text": "Some text", "doc_id": 1}]},
}


def conversations():
    """(name, variables) of every conversation."""
    base = {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
            "pad_token": "<pad>"}
    for name, messages in MESSAGES.items():
        for prompt in (False, True):
            yield f"{name}, prompt {prompt}", {**base, "messages": messages, "add_generation_prompt": prompt}
    for name, messages in {"tool turns": TOOL_TURNS, "two calls": TWO_CALLS, "text arguments": TEXT_ARGUMENTS,
                           "tools offered": MESSAGES["system and user"]}.items():
        for tools in ([WEATHER_TOOL], [WEATHER_TOOL, TIME_TOOL], None):
            yield f"{name}, {len(tools or ())} tools", {**base, "messages": messages, "tools": tools,
                                                       "add_generation_prompt": True}
    for name, options in OPTIONS.items():
        for messages in ("several turns", "thinking", "system and user"):
            yield f"{messages}, {name}", {**base, "messages": MESSAGES[messages], "add_generation_prompt": True,
                                          **options}
        yield f"tool turns, {name}", {**base, "messages": TOOL_TURNS, "tools": [TIME_TOOL, WEATHER_TOOL],
                                      "add_generation_prompt": True, **options}
    without_tokens = {"tools": None, "documents": None, "messages": MESSAGES["several turns"],
                      "add_generation_prompt": True}
    yield "no special tokens", without_tokens
