// Mutates chat templates from a seed and renders them: every one must end, within its limits and without a
// crash. Usage: chat_template_fuzz [--iterations N] [--seed S]
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "services/tokenizer/chat_template/chat_template.h"

namespace {

using conclave::StatusCode;
using conclave::tokenizer::ChatMessageValue;
using conclave::tokenizer::ChatTemplate;
using conclave::tokenizer::ChatTemplateLimits;
using conclave::tokenizer::TemplateInput;
using conclave::tokenizer::Value;

constexpr std::string_view kSeeds[] = {
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] | trim }}{% endfor "
    "%}",
    "{%- set ns = namespace(a='', b=[1]) -%}{% for m in messages if m.role != 'x' %}{% set ns.a = ns.a ~ "
    "m.content %}"
    "{{ loop.index0 }}{{ loop.last }}{{ loop.nextitem }}{% else %}none{% endfor %}{{ ns.a[::-1] }}{{ ns.b }}",
    "{% macro m(a, b=2) %}{% if a %}{{ a }}{{ m(a[1:], b) }}{% endif %}{{ caller() if caller }}{% endmacro "
    "%}{{ m('xyz') }}"
    "{% call m([]) %}in{% endcall %}",
    "{{ messages | map(attribute='content') | join(', ') }}{{ messages | tojson(indent=2) }}{{ d.items() | "
    "list }}",
    "{% set x %}{% filter upper | replace('A', 'bb') %}aA{% endfilter %}{% endset %}{{ x.split('B', "
    "1)[-1].strip() }}",
    "{{ '%s %5d' % ('a', 3) }}{{ '{:>5}{x!r}'.format(1, x=s) }}{{ [3, 1, 2] | sort(reverse=true) | batch(2) "
    "| list }}",
    "{{ raise_exception('no') if not messages else strftime_now('%Y') }}{% raw %}{{ x }}{% endraw %}{# c #}",
    "{{ s.rfind('a') }}{{ s.partition('b') }}{{ s * 3 }}{{ 'ß'.upper().title() }}{{ 7 // -2 }}{{ 2 ** 5 % 3 "
    "}}",
    "{% with a = 1 %}{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% break %}{% "
    "endfor %}{% endwith %}",
    "{{ messages | groupby('role') }}{{ d | dictsort }}{{ [1, 1.0, 'a'] | unique | list }}{{ messages | "
    "selectattr('x') | list }}"};

constexpr std::string_view kPieces[] = {"{{",
                                        "}}",
                                        "{%",
                                        "%}",
                                        "{#",
                                        "#}",
                                        "-%}",
                                        "{%-",
                                        "(",
                                        ")",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        "'",
                                        "\"",
                                        "|",
                                        ".",
                                        ",",
                                        ":",
                                        "=",
                                        "==",
                                        "**",
                                        "//",
                                        "~",
                                        "not ",
                                        " is ",
                                        " in ",
                                        " if ",
                                        " else ",
                                        "loop",
                                        "ns",
                                        "ns.a",
                                        "messages",
                                        "none",
                                        "-1",
                                        "9223372036854775807",
                                        "1e308",
                                        "'a' * 99999999",
                                        "range(99999)",
                                        "|list",
                                        "|join",
                                        "|tojson",
                                        "|map('upper')",
                                        ".split()",
                                        "{% for a in b %}",
                                        "{% endfor %}",
                                        "{% set ns.a = ns %}",
                                        "{% macro m() %}",
                                        "{% endmacro %}",
                                        "{{ m() }}",
                                        "\xF0\x9F\x8E\x89",
                                        "\\",
                                        "\n",
                                        "\r\n",
                                        "\0"};

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string Next() {
    std::string text(kSeeds[Below(std::size(kSeeds))]);
    for (size_t changes = 1 + Below(3); changes > 0; --changes) Change(text);
    return text;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void Change(std::string& text) {
    const size_t at = Below(text.size() + 1);
    switch (Below(6)) {
      case 0: text.insert(at, kPieces[Below(std::size(kPieces))]); return;
      case 1: text.erase(at, Below(12)); return;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(Below(256));
        return;
      case 3: text.insert(at, std::string(text.substr(Below(text.size() + 1), Below(40)))); return;
      case 4: text += kSeeds[Below(std::size(kSeeds))]; return;
      default: {
        std::string many;
        const std::string_view piece = kPieces[Below(std::size(kPieces))];
        for (size_t i = Below(400); i > 0; --i) many += piece;
        text.insert(at, many);
      }
    }
  }

  std::mt19937_64 random_;
};

TemplateInput Input() {
  TemplateInput input;
  input.messages = Value::List(
      {ChatMessageValue("user", "Hällo \xF0\x9F\x8E\x89"), ChatMessageValue("assistant", "b a\n")});
  input.variables = {{"s", Value::String("abcab")},
                     {"d", Value::Dict({{Value::String("k"), Value::Int(1)}})}};
  return input;
}

long Argument(int count, char** values, std::string_view name, long fallback) {
  for (int i = 1; i + 1 < count; ++i) {
    if (values[i] == name) return std::atol(values[i + 1]);
  }
  return fallback;
}

}  // namespace

int main(int argument_count, char** arguments) {
  const long iterations = Argument(argument_count, arguments, "--iterations", 20000);
  const auto seed = static_cast<uint64_t>(Argument(argument_count, arguments, "--seed", 1));
  ChatTemplateLimits limits;
  limits.steps = 50'000;
  limits.value_bytes = size_t{8} << 20;
  limits.output_bytes = size_t{4} << 20;
  const TemplateInput input = Input();
  Mutator mutator(seed);
  long compiled = 0;
  long rendered = 0;
  for (long i = 0; i < iterations; ++i) {
    const std::string source = mutator.Next();
    const auto start = std::chrono::steady_clock::now();
    const auto program = ChatTemplate::Compile(source, limits);
    if (program.ok()) {
      ++compiled;
      const auto text = (*program)->Render(input);
      rendered += text.ok();
      if (text.ok() && text->size() > limits.output_bytes) {
        std::cerr << "seed " << seed << ", iteration " << i << ": more output than allowed\n"
                  << source << "\n";
        return 1;
      }
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (took.count() > 20) {
      std::cerr << "seed " << seed << ", iteration " << i << ": took " << took.count() << " s\n"
                << source << "\n";
      return 1;
    }
  }
  std::cout << "seed " << seed << ": " << iterations << " templates, " << compiled << " compiled, "
            << rendered << " rendered\n";
  return compiled > 0 && rendered > 0 ? 0 : 1;
}
