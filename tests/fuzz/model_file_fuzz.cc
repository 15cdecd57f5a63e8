// Opens mutated model files and uses what the readers let through: every tensor is decoded and the
// architecture described. Deterministic: the same corpus, seed and number of iterations give the same files.
//   model_file_fuzz CORPUS [--iterations N] [--seed S] [--trace] [--only I]
// CORPUS holds gguf/ and safetensors/. When an iteration ends the program, its number is the last one printed
// with
// --trace; `--only` runs that one again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "engine/files/gguf_header.h"
#include "engine/files/model_file.h"
#include "engine/files/safetensors_header.h"
#include "engine/model/architecture.h"
#include "engine/model/expert_layout.h"
#include "engine/model/rope.h"
#include "tests/support/temporary_folder.h"

namespace conclave::engine {
namespace {

namespace fs = std::filesystem;

struct Options {
  fs::path corpus;
  uint64_t iterations = 20'000;
  uint64_t seed = 1;
  int64_t only = -1;
  bool trace = false;
};

struct Seed {
  std::string bytes;
  bool gguf = false;
  std::string config;  ///< of a folder of safetensors
};

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr const char* kConfig =
    R"({"model_type":"llama","hidden_size":32,"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,)"
    R"("num_key_value_heads":1,"vocab_size":8,"max_position_embeddings":128,"tie_word_embeddings":true,)"
    R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,)"
    R"("original_max_position_embeddings":64}})";

std::vector<Seed> LoadCorpus(const fs::path& corpus) {
  std::vector<fs::path> paths;
  for (const char* kind : {"gguf", "safetensors"}) {
    for (const auto& entry : fs::directory_iterator(corpus / kind)) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Seed> seeds;
  for (const fs::path& path : paths) {
    if (path.extension() == ".json") continue;
    const fs::path config = fs::path(path).replace_extension(".json");
    seeds.push_back({.bytes = ReadFile(path),
                     .gguf = path.extension() == ".gguf",
                     .config = fs::exists(config) ? ReadFile(config) : kConfig});
  }
  return seeds;
}

/// Changes a few bytes, mostly near the front, where the header is.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  void Mutate(std::string& bytes) {
    const uint64_t changes = 1 + Below(4);
    for (uint64_t i = 0; i < changes && !bytes.empty(); ++i) Change(bytes);
  }

 private:
  size_t Position(const std::string& bytes) {
    const size_t header = std::min<size_t>(bytes.size(), 1500);
    return Below(4) == 0 ? Below(bytes.size()) : Below(header);
  }

  void Change(std::string& bytes) {
    const size_t at = Position(bytes);
    switch (Below(7)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8))); break;
      case 1: bytes[at] = static_cast<char>(Below(256)); break;
      case 2: bytes.resize(at); break;
      case 3: bytes.erase(at, 1 + Below(16)); break;
      case 4: bytes.insert(at, bytes.substr(Position(bytes), 1 + Below(64))); break;
      case 5: OverwriteNumber(bytes, at); break;
      default: std::swap(bytes[at], bytes[Position(bytes)]); break;
    }
  }

  /// Sizes that readers get wrong: powers of two and their neighbours, and the largest numbers.
  void OverwriteNumber(std::string& bytes, size_t at) {
    const uint64_t value = (uint64_t{1} << Below(64)) + Below(3) - 1;
    const size_t width = std::min<size_t>(Below(2) == 0 ? 4 : 8, bytes.size() - at);
    std::memcpy(bytes.data() + at, &value, width);
  }

  std::mt19937_64 random_;
};

/// What a program would do with an opened model. Returns whether the architecture was accepted.
bool Use(const ModelFile& file) {
  std::vector<float> row;
  for (const TensorView& tensor : file.tensors()) {
    const auto row_bytes = RowBytes(tensor.dtype, tensor.columns());
    if (!row_bytes || *row_bytes * tensor.rows() != tensor.bytes) std::abort();
    row.resize(static_cast<size_t>(tensor.columns()));
    DequantiseRow(tensor.dtype, tensor.data, tensor.columns(), row.data());
    DequantiseRow(tensor.dtype, tensor.data + tensor.bytes - *row_bytes, tensor.columns(), row.data());
  }
  const Result<ModelDescription> description = DescribeModel(file);
  if (!description.ok()) return false;
  row.resize(static_cast<size_t>(description->architecture.rope_dims));
  const RopeTable table(description->architecture);
  table.CosSin(description->architecture.context - 1, row.data());
  const ExpertLayout layout(file, *description);
  for (int64_t layer = 0; layer < layout.layers(); ++layer) {
    for (int64_t expert = 0; expert < layout.layer(layer).total(); ++expert) {
      const auto matrices = layout.matrices(layer, expert);
      if (!matrices.ok() || !layout.biases(layer, expert).ok() ||
          !PackedMatrix::Pack(matrices->down.tensor, matrices->down.row_begin, matrices->down.row_end,
                              matrices->down.column_begin, matrices->down.column_end)
               .ok()) {
        std::abort();
      }
    }
  }
  return true;
}

struct Counts {
  uint64_t opened = 0;
  uint64_t described = 0;
};

/// Reads the header from the heap, where sanitizers see every byte read past the end, then opens the file as
/// the engine does.
void TryGguf(const std::string& bytes, const testing::TemporaryFolder& folder, Counts& counts) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  (void)ReadGgufHeader(std::as_bytes(std::span(exact)));
  const auto file = OpenModelFile(folder.Write("model.gguf", bytes));
  if (!file.ok()) return;
  ++counts.opened;
  counts.described += Use(**file) ? 1 : 0;
}

void TrySafetensors(const std::string& bytes, std::string config, Mutator& mutator,
                    const testing::TemporaryFolder& folder, Counts& counts) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  (void)ReadSafetensorsHeader(std::as_bytes(std::span(exact)));
  if (mutator.Below(2) == 0) mutator.Mutate(config);
  folder.Write("config.json", config);
  folder.Write("model.safetensors", bytes);
  const auto file = OpenModelFile(folder.path());
  if (!file.ok()) return;
  ++counts.opened;
  counts.described += Use(**file) ? 1 : 0;
}

void RunOne(uint64_t iteration, const Options& options, const std::vector<Seed>& seeds,
            const testing::TemporaryFolder& folder, Counts& counts) {
  Mutator mutator(options.seed * 1'000'003 + iteration);
  const Seed& seed = seeds[mutator.Below(seeds.size())];
  std::string bytes = seed.bytes;
  // Some are left alone: in their place the config is mutated, and a reader that refuses everything would
  // show.
  if (mutator.Below(8) != 0) mutator.Mutate(bytes);
  if (seed.gguf) {
    TryGguf(bytes, folder, counts);
  } else {
    TrySafetensors(bytes, seed.config, mutator, folder, counts);
  }
}

int Run(const Options& options) {
  const std::vector<Seed> seeds = LoadCorpus(options.corpus);
  if (seeds.empty()) {
    std::cerr << "no files in " << options.corpus << "\n";
    return 2;
  }
  const testing::TemporaryFolder folder;
  Counts counts;
  for (uint64_t i = 0; i < options.iterations; ++i) {
    if (options.only >= 0 && i != static_cast<uint64_t>(options.only)) continue;
    if (options.trace) std::cout << i << std::endl;
    RunOne(i, options, seeds, folder, counts);
  }
  std::cout << options.iterations << " files, seed " << options.seed << ": " << counts.opened << " opened, "
            << counts.described << " described\n";
  const bool meaningful = options.only >= 0 || (counts.described > 0 && counts.opened < options.iterations);
  return meaningful ? 0 : 1;
}

}  // namespace
}  // namespace conclave::engine

int main(int argc, char** argv) {
  conclave::engine::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--trace") {
      options.trace = true;
    } else if (argument == "--iterations" && has_value) {
      options.iterations = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--seed" && has_value) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--only" && has_value) {
      options.only = std::strtoll(argv[++i], nullptr, 10);
    } else {
      options.corpus = argument;
    }
  }
  return conclave::engine::Run(options);
}
