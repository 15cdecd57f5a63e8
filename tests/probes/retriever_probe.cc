// The retriever alone, for tests in other languages:
//
//     retriever_probe serve DATA_DIR SOCKET   serves on a Unix socket; prints "ready"; ends on SIGTERM
//     retriever_probe prepare                 reads documents, one JSON object a line: {"source", "text"};
//                                             prints for each a JSON array of its passages:
//                                             {"heading", "text", "terms"}
//     retriever_probe analyze                 reads texts, one JSON string a line; prints JSON arrays of
//     terms
//
// When it cannot go on it prints one line on stderr and ends with status 1.

#include <cstdio>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "services/retriever/prepare_document.h"
#include "services/retriever/retriever_module.h"
#include "services/retriever/text_extraction.h"
#include "tests/probes/serve_module.h"

namespace {

using namespace conclave;  // NOLINT: a program of one file
using nlohmann::json;

json Prepare(const json& input, retriever::Analyzer& analyzer) {
  const std::string source = input.at("source");
  const auto prepared = retriever::PrepareDocument(
      {{"default", "c"}, source, retriever::FormatOf(source), input.at("text").get<std::string>()}, analyzer);
  json passages = json::array();
  for (const auto& passage : prepared.document.passages) {
    json terms = json::array();
    for (const auto& [term, count] : passage.terms) {
      for (uint32_t i = 0; i < count; ++i) terms.push_back(term);
    }
    passages.push_back({{"heading", passage.chunk.heading}, {"text", passage.chunk.text}, {"terms", terms}});
  }
  return passages;
}

int EachLine(const std::string& mode) {
  auto analyzer = retriever::Analyzer::Make();
  if (!analyzer.ok()) return probes::Fail(analyzer.status());
  for (std::string line; std::getline(std::cin, line);) {
    const json input = json::parse(line);
    std::cout << (mode == "prepare" ? Prepare(input, *analyzer)
                                    : json(analyzer->Analyze(input.get<std::string>())))
              << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "serve" && argc == 4) {
    return probes::ServeModule(
        [](const platform::ModuleContext& context) { return retriever::MakeRetrieverModule(context); },
        argv[2], argv[3]);
  }
  if ((mode == "prepare" || mode == "analyze") && argc == 2) return EachLine(mode);
  std::fputs("usage: retriever_probe serve DATA_DIR SOCKET | prepare | analyze\n", stderr);
  return 2;
}
