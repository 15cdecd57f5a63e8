"""Includes point down only (docs/architecture.md), and no service includes another."""

import re
from pathlib import PurePosixPath

from support.project_files import REPOSITORY, project_files, relative

SERVICES = ("tokenizer", "router", "experts", "decoder", "retriever", "feedback")
LOWER = {
    "base": {"base"},
    "engine": {"base", "engine"},
    "proto": {"proto"},
    "platform": {"base", "proto", "platform"},
    **{f"services/{name}": {"base", "engine", "proto", "platform", f"services/{name}"} for name in SERVICES},
    "app": {"base", "engine", "proto", "platform", "app", *(f"services/{name}" for name in SERVICES)},
}
# The two lowest layers know no network, actor or database; one header-only JSON reader is all they take.
WITHOUT_LIBRARIES = ("base", "engine")
THIRD_PARTY = re.compile(r"^(grpc|caf/|rocksdb/|hiredis|google/|spdlog/|yaml-cpp/|prometheus/|openssl/|"
                         r"unicode/|CLI/|gumbo|histedit|libstemmer)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^">]+)[">]', re.MULTILINE)


def layer_of(path: str) -> str | None:
    """The layer of a path relative to the repository; generated protobuf headers belong to proto."""
    parts = PurePosixPath(path).parts
    if parts[0] == "services":
        return "/".join(parts[:2])
    if parts[0] == "conclave":
        return "proto"
    return parts[0] if parts[0] in LOWER else None


def violations(path: str, source: str, exists=lambda include: (REPOSITORY / include).is_file()) -> list[str]:
    """What is wrong with the includes of one file."""
    layer = layer_of(path)
    found = []
    for kind, include in INCLUDE.findall(source):
        if kind == "<":
            if layer in WITHOUT_LIBRARIES and THIRD_PARTY.match(include):
                found.append(f"{path}: <{include}> is a library that {layer}/ may not use")
            continue
        target = layer_of(include)
        if target is None or (target != "proto" and not exists(include)):
            found.append(f'{path}: "{include}" is no file of the project, named from its root')
        elif target not in LOWER.get(layer, ()):
            found.append(f'{path}: "{include}" is in {target}/, which {layer}/ may not use')
    return found


def test_includes_point_down_only():
    files = [path for path in project_files(".h", ".cc") if layer_of(relative(path))]
    assert len(files) > 20
    found = [line for path in files for line in violations(relative(path), path.read_text())]
    assert not found, "\n" + "\n".join(found)


def test_the_check_sees_each_kind_of_violation():
    def wrong(path: str, include: str) -> bool:
        return bool(violations(path, f"#include {include}\n", exists=lambda name: "missing" not in name))

    assert wrong("base/a.h", '"engine/b.h"')
    assert wrong("engine/a.cc", '"platform/b.h"')
    assert wrong("engine/a.cc", '"conclave/v1/decoder.pb.h"')
    assert wrong("engine/a.cc", "<grpcpp/grpcpp.h>")
    assert wrong("platform/a.cc", '"engine/b.h"')
    assert wrong("platform/a.cc", '"services/router/b.h"')
    assert wrong("services/router/a.cc", '"services/decoder/b.h"')
    assert wrong("services/router/a.cc", '"app/b.h"')
    assert wrong("services/router/a.cc", '"router/b.h"')
    assert wrong("app/a.cc", '"app/missing.h"')
    assert not wrong("services/router/a.cc", '"engine/b.h"')
    assert not wrong("services/router/deep/a.cc", '"services/router/b.h"')
    assert not wrong("platform/a.cc", "<grpcpp/grpcpp.h>")
    assert not wrong("app/a.cc", '"services/decoder/b.h"')
    assert not wrong("platform/a.cc", '"conclave/v1/decoder.pb.h"')
