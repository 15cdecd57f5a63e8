// Lets tests in other languages call single functions of the engine:
//   engine_probe dequantise FORMAT COLUMNS < ROWS > FLOATS
//   engine_probe rope MODEL POSITION... > FLOATS      (for each position: cosines, then sines)
//   engine_probe describe MODEL                       (one line: a JSON object)
//   engine_probe hash MODEL
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/files/model_file.h"
#include "engine/files/model_hash.h"
#include "engine/model/architecture.h"
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

int Run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return Fail("usage: engine_probe dequantise|rope|describe|hash ...");
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
