// Lets tests in other languages call single functions of the engine:
//   engine_probe dequantise FORMAT COLUMNS < ROWS > FLOATS
//   engine_probe rope MODEL POSITION... > FLOATS      (for each position: cosines, then sines)
//   engine_probe describe MODEL                       (one line: a JSON object)
//   engine_probe hash MODEL
//   engine_probe logits MODEL PROMPT TOKEN... > FLOATS  (the first PROMPT tokens in one step, then each
//   alone)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/files/model_file.h"
#include "engine/files/model_hash.h"
#include "engine/model/architecture.h"
#include "engine/model/language_model.h"
#include "engine/model/rope.h"
#include "engine/tensor/dtype.h"

namespace conclave::engine {
namespace {

int Fail(const std::string& message) {
  std::cerr << message << "\n";
  return 1;
}

void WriteFloats(const std::vector<float>& values) {
  std::fwrite(values.data(), sizeof(float), values.size(), stdout);
}

int Dequantise(std::string_view format, int64_t columns) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (InfoOf(dtype).name != format) continue;
    const auto row_bytes = RowBytes(dtype, columns);
    if (!row_bytes || *row_bytes == 0) return Fail("not whole blocks");
    const std::vector<char> input{std::istreambuf_iterator<char>(std::cin), {}};
    if (input.size() % static_cast<size_t>(*row_bytes) != 0) return Fail("not whole rows");
    std::vector<float> row(static_cast<size_t>(columns));
    for (size_t at = 0; at < input.size(); at += static_cast<size_t>(*row_bytes)) {
      DequantiseRow(dtype, reinterpret_cast<const std::byte*>(input.data() + at), columns, row.data());
      WriteFloats(row);
    }
    return 0;
  }
  return Fail("unknown format");
}

int Rope(const Architecture& architecture, const std::vector<std::string>& positions) {
  const RopeTable table(architecture);
  std::vector<float> row(static_cast<size_t>(architecture.rope_dims));
  for (const std::string& position : positions) {
    table.CosSin(std::strtoll(position.c_str(), nullptr, 10), row.data());
    WriteFloats(row);
  }
  return 0;
}

int Describe(const Architecture& a) {
  const nlohmann::json out = {{"family", a.family},
                              {"layers", a.layers},
                              {"hidden", a.hidden},
                              {"inner", a.inner},
                              {"query_heads", a.query_heads},
                              {"kv_heads", a.kv_heads},
                              {"head_dim", a.head_dim},
                              {"vocabulary", a.vocabulary},
                              {"context", a.context},
                              {"norm_epsilon", a.norm_epsilon},
                              {"rope_theta", a.rope_theta},
                              {"interleaved", a.rope_layout == RopeLayout::kInterleaved},
                              {"sliding_window", a.sliding_window},
                              {"tied_embeddings", a.tied_embeddings}};
  std::cout << out.dump() << "\n";
  return 0;
}

/// Logits of all positions.
int Logits(const std::string& path, int64_t prompt, const std::vector<std::string>& words) {
  std::vector<int32_t> tokens;
  for (const std::string& word : words) tokens.push_back(static_cast<int32_t>(std::stol(word)));
  auto model = LanguageModel::Load(path, 0, std::make_shared<ThreadPool>(2));
  if (!model.ok()) return Fail(model.status().ToString());
  const auto count = static_cast<int64_t>(tokens.size());
  KvSequence cache((*model)->kv());
  if (const Status status = cache.Reserve(count); !status.ok()) return Fail(status.ToString());
  std::vector<float> logits;
  for (int64_t at = 0; at < count;) {
    const int64_t size = at == 0 ? std::clamp<int64_t>(prompt, 1, count) : 1;
    logits.resize(size * (*model)->architecture().vocabulary);
    const SequenceStep step{
        .cache = &cache, .tokens = {tokens.data() + at, static_cast<size_t>(size)}, .logits_rows = size};
    if (const Status status = (*model)->Forward({&step, 1}, logits.data()); !status.ok()) {
      return Fail(status.ToString());
    }
    WriteFloats(logits);
    at += size;
  }
  return 0;
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return Fail("usage: engine_probe dequantise|rope|describe|hash|logits ...");
  const std::string& command = arguments[0];
  if (command == "dequantise" && arguments.size() == 3) {
    return Dequantise(arguments[1], std::strtoll(arguments[2].c_str(), nullptr, 10));
  }
  if (command == "hash") {
    const Result<std::string> hash = HashModel(arguments[1]);
    if (!hash.ok()) return Fail(hash.status().ToString());
    std::cout << *hash << "\n";
    return 0;
  }
  if (command == "logits" && arguments.size() > 3) {
    return Logits(arguments[1], std::strtoll(arguments[2].c_str(), nullptr, 10),
                  {arguments.begin() + 3, arguments.end()});
  }
  const auto file = OpenModelFile(arguments[1]);
  if (!file.ok()) return Fail(file.status().ToString());
  const Result<ModelDescription> description = DescribeModel(**file);
  if (!description.ok()) return Fail(description.status().ToString());
  if (command == "rope") return Rope(description->architecture, {arguments.begin() + 2, arguments.end()});
  if (command == "describe") return Describe(description->architecture);
  return Fail("unknown command " + command);
}

}  // namespace
}  // namespace conclave::engine

int main(int argc, char** argv) { return conclave::engine::Run({argv + 1, argv + argc}); }
