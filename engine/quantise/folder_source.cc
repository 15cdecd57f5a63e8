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
    source_.tensors.push_back({.view = view, .order = order, .parts = {{view, from}}});
  }

  /// The matrices of all experts as one tensor [experts, rows, columns]. `from` holds a "{}" for the expert.
  void Stack(const std::string& from, int64_t experts, const std::string& to) {
    SourceTensor stacked;
    for (int64_t expert = 0; expert < experts; ++expert) {
      const std::string name = WeightNames::ForLayer(from, expert);
      stacked.parts.push_back({*file_.Find(name), name});
      source_.bytes += static_cast<uint64_t>(stacked.parts.back().view.bytes);
    }
    stacked.view = stacked.parts.front().view;
    stacked.view.name = to;
    stacked.view.rank = 3;
    stacked.view.shape = {experts, stacked.view.shape[0], stacked.view.shape[1]};
    source_.tensors.push_back(std::move(stacked));
  }

  /// [1, columns] as [columns], which is how GGUF keeps it.
  void AddRow(const std::string& from, const std::string& to) {
    Add(from, to);
    TensorView& view = source_.tensors.back().view;
    view.shape = {view.columns()};
    view.rank = 1;
  }

 private:
  const ModelFile& file_;
  QuantiseSource& source_;
};

using Name = std::string WeightNames::*;

void AddFeedForward(const ModelDescription& from, const WeightNames& to, int64_t layer, TensorAdder& adder) {
  const auto here = [&](Name name) { return WeightNames::ForLayer(from.names.*name, layer); };
  const auto there = [&](Name name) { return WeightNames::ForLayer(to.*name, layer); };
  const ExpertMixture& mixture = from.architecture.mixture;
  if (!from.architecture.mixed(layer)) {
    for (const Name name : {&WeightNames::gate, &WeightNames::up, &WeightNames::down}) {
      adder.Add(here(name), there(name));
    }
    return;
  }
  adder.Add(here(&WeightNames::router), there(&WeightNames::router));
  for (const Name name : {&WeightNames::expert_gate, &WeightNames::expert_up, &WeightNames::expert_down}) {
    adder.Stack(here(name), mixture.experts, there(name));
  }
  if (mixture.shared_inner == 0) return;
  for (const Name name : {&WeightNames::shared_gate, &WeightNames::shared_up, &WeightNames::shared_down}) {
    adder.Add(here(name), there(name));
  }
  if (mixture.shared_gate) adder.AddRow(here(&WeightNames::shared_scale), there(&WeightNames::shared_scale));
}

void AddLayer(const ModelDescription& from, const GgufDescription& to, int64_t layer, TensorAdder& adder) {
  const Architecture& a = from.architecture;
  const auto add = [&](Name name, RowOrder order = {}) {
    adder.Add(WeightNames::ForLayer(from.names.*name, layer), WeightNames::ForLayer(to.names.*name, layer),
              order);
  };
  const RowOrder rotated{.head_rows = a.rope_layout == to.rope_layout ? 0 : a.head_dim};
  add(&WeightNames::attention_norm);
  add(&WeightNames::query, rotated);
  add(&WeightNames::key, rotated);
  add(&WeightNames::value);
  if (a.attention_bias) {
    for (const Name name : {&WeightNames::query, &WeightNames::key, &WeightNames::value}) {
      adder.Add(WeightNames::BiasOf(WeightNames::ForLayer(from.names.*name, layer)),
                WeightNames::BiasOf(WeightNames::ForLayer(to.names.*name, layer)));
    }
  }
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    add(&WeightNames::query_norm);
    add(&WeightNames::key_norm);
  }
  add(&WeightNames::attention_output);
  add(&WeightNames::feed_forward_norm);
  AddFeedForward(from, to.names, layer, adder);
}

void AddDivisors(const std::vector<float>& divisors, QuantiseSource& source) {
  if (divisors.empty()) return;
  TensorView view{.name = "rope_freqs.weight", .dtype = DType::kF32, .rank = 1};
  view.shape[0] = static_cast<int64_t>(divisors.size());
  view.data = reinterpret_cast<const std::byte*>(divisors.data());
  view.bytes = static_cast<int64_t>(divisors.size() * sizeof(float));
  source.tensors.push_back({.view = view, .parts = {{view, view.name}}});
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
  for (int64_t layer = 0; layer < from.architecture.layers; ++layer) AddLayer(from, *to, layer, adder);
  source.owner = memory;
  return source;
}

}  // namespace conclave::engine
