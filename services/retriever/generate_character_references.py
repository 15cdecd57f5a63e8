"""Writes character_reference_table.cc from Python's own table of HTML5's named character references.

    python3 services/retriever/generate_character_references.py > services/retriever/character_reference_table.cc
"""

import html.entities

WIDTH = 106

entries = []
for name, text in sorted(html.entities.html5.items()):
    if name.endswith(";"):
        old = name[:-1] in html.entities.html5
        entries.append(f"{name[:-1]}{'+' if old else ''},{text}")
assert not any(" " in entry or '"' in entry.split(",", 1)[0] for entry in entries)

lines = [""]
for entry in entries:
    entry = entry.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n")
    if len(lines[-1]) + len(entry) + 1 > WIDTH - 6:
        lines.append("")
    lines[-1] += entry + " "

print('#include "services/retriever/character_references.h"\n')
print("// Made by generate_character_references.py.")
print("namespace conclave::retriever {\n")
print("// clang-format off")
print("extern const char kCharacterReferenceTable[] =")
print("\n".join(f'    "{line}"' for line in lines) + ";")
print("// clang-format on\n")
print("}  // namespace conclave::retriever")
