#include <filesystem>
#include <utility>

#include "engine/files/model_file.h"
#include "engine/model/gguf_description.h"
#include "engine/quantise/quantise_source.h"

namespace conclave::engine {
namespace {

/// What the views of a folder's source point into.
struct FolderMemory {
  std::unique_ptr<ModelFile> file;
  std::vector<float> rope_divisors;
};

std::string NameOf(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
}

/// Adds tensors under the names that GGUF has for them.
class TensorAdder {
 public:
  TensorAdder(const ModelFile& file, QuantiseSource& source) : file_(file), source_(source) {}

  /// `from` is there: DescribeModel has seen it.
  void Add(const std::string& from, const std::string& to, RowOrder order = {}) {
    TensorView view = *file_.Find(from);
    view.name = to;
    source_.bytes += static_cast<uint64_t>(view.bytes);
    source_.tensors.push_back({.view = std::move(view), .source_name = from, .order = order});
  }

 private:
  const ModelFile& file_;
  QuantiseSource& source_;
};

void AddLayer(const ModelDescription& from, const WeightNames& to, int64_t layer, TensorAdder& adder) {
  const auto add = [&](std::string WeightNames::* name, RowOrder order = {}) {
    adder.Add(WeightNames::ForLayer(from.names.*name, layer), WeightNames::ForLayer(to.*name, layer), order);
  };
  const bool halves = from.architecture.rope_layout == RopeLayout::kHalves;
  const RowOrder rotated{.head_rows = halves ? from.architecture.head_dim : 0};
  add(&WeightNames::attention_norm);
  add(&WeightNames::query, rotated);
  add(&WeightNames::key, rotated);
  add(&WeightNames::value);
  add(&WeightNames::attention_output);
  add(&WeightNames::feed_forward_norm);
  add(&WeightNames::gate);
  add(&WeightNames::up);
  add(&WeightNames::down);
}

void AddDivisors(const std::vector<float>& divisors, QuantiseSource& source) {
  if (divisors.empty()) return;
  TensorView view{.name = "rope_freqs.weight", .dtype = DType::kF32, .rank = 1};
  view.shape[0] = static_cast<int64_t>(divisors.size());
  view.data = reinterpret_cast<const std::byte*>(divisors.data());
  view.bytes = static_cast<int64_t>(divisors.size() * sizeof(float));
  source.tensors.push_back({.view = view, .source_name = view.name});
}

}  // namespace

Result<QuantiseSource> OpenFolderSource(const std::string& path) {
  const auto memory = std::make_shared<FolderMemory>();
  CONCLAVE_ASSIGN_OR_RETURN(memory->file, OpenModelFile(path));
  CONCLAVE_ASSIGN_OR_RETURN(const ModelDescription from, DescribeModel(*memory->file));
  Result<GgufDescription> to = DescribeAsGguf(from.architecture, NameOf(path));
  if (!to.ok()) return to.status().Annotate(path);

  QuantiseSource source{.path = path, .pairs = to->pairs, .vocabulary = from.architecture.vocabulary};
  TensorAdder adder(*memory->file, source);
  adder.Add(from.names.embedding, to->names.embedding);
  if (!from.architecture.tied_embeddings) adder.Add(from.names.output, to->names.output);
  adder.Add(from.names.output_norm, to->names.output_norm);
  memory->rope_divisors = std::move(to->rope_divisors);
  AddDivisors(memory->rope_divisors, source);
  for (int64_t layer = 0; layer < from.architecture.layers; ++layer) AddLayer(from, to->names, layer, adder);
  source.owner = memory;
  return source;
}

}  // namespace conclave::engine
