#include "engine/upcycle/upcycle_model.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "engine/files/gguf_writer.h"
#include "engine/files/quoted.h"
#include "engine/model/gguf_families.h"
#include "engine/quantise/convert_rows.h"
#include "engine/upcycle/append_matrix.h"

namespace conclave::engine {
namespace {

/// What the file calls its tensors.
WeightNames FileNames() { return GgufWeightNames(*FindGgufFamily(kUpcycledFamily)); }

/// A tensor of the new file and what writes its numbers.
struct OutputTensor {
  GgufOutputTensor info;
  std::function<Status(GgufWriter&)> write;

  int64_t elements() const {
    int64_t count = 1;
    for (int i = 0; i < info.rank; ++i) count *= info.shape[i];
    return count;
  }
};

/// Turns a dense model's tensors into the new file's.
class TensorMaker {
 public:
  TensorMaker(const ExpertShape& shape, const ExpertPlan& plan, ThreadPool& pool)
      : shape_(shape), plan_(plan), pool_(pool), names_(FileNames()) {
    for (size_t layer = 0; layer < plan.layers.size(); ++layer) {
      const auto number = static_cast<int64_t>(layer);
      for (const std::string* pattern : {&names_.gate, &names_.up, &names_.down}) {
        blocks_[WeightNames::ForLayer(*pattern, number)] = {number, pattern};
      }
    }
  }

  void Add(const SourceTensor& tensor, std::vector<OutputTensor>& out) const {
    const auto found = blocks_.find(tensor.view.name);
    if (found == blocks_.end()) {
      out.push_back(Copy(tensor));
      return;
    }
    const auto [layer, pattern] = found->second;
    if (pattern == &names_.down) {
      out.push_back(Columns(tensor, Named(names_.expert_down, layer), Routed(layer), shape_.experts));
      if (shape_.shared_width > 0) {
        out.push_back(Columns(tensor, Named(names_.shared_down, layer), Shared(layer), 0));
      }
      return;
    }
    const bool gate = pattern == &names_.gate;
    if (gate) out.push_back(Router(layer, tensor.view.columns()));
    const std::string& routed = gate ? names_.expert_gate : names_.expert_up;
    out.push_back(Rows(tensor, Named(routed, layer), Routed(layer), shape_.experts));
    if (shape_.shared_width == 0) return;
    const std::string& shared = gate ? names_.shared_gate : names_.shared_up;
    out.push_back(Rows(tensor, Named(shared, layer), Shared(layer), 0));
  }

 private:
  using Neurons = std::span<const int32_t>;

  static std::string Named(const std::string& pattern, int64_t layer) {
    return WeightNames::ForLayer(pattern, layer);
  }
  Neurons Routed(int64_t layer) const {
    return Neurons(plan_.layers[layer].neurons).first(shape_.experts * shape_.width);
  }
  Neurons Shared(int64_t layer) const {
    return Neurons(plan_.layers[layer].neurons).last(shape_.shared_width);
  }

  /// `experts` 0: one matrix, else [experts, rows, columns].
  static GgufOutputTensor Matrix(const std::string& name, DType dtype, int64_t experts, int64_t rows,
                                 int64_t columns) {
    GgufOutputTensor info{.name = name, .dtype = dtype, .rank = 2, .shape = {rows, columns}};
    if (experts > 0) {
      info.rank = 3;
      info.shape = {experts, rows, columns};
    }
    return info;
  }

  OutputTensor Copy(const SourceTensor& tensor) const {
    GgufOutputTensor info{.name = tensor.view.name, .dtype = tensor.view.dtype, .rank = tensor.view.rank};
    info.shape = tensor.view.shape;
    if (info.rank == 1) info.dtype = DType::kF32;
    return {info, [&tensor, this, vector = info.rank == 1](GgufWriter& writer) -> Status {
              for (const SourcePart& part : tensor.parts) {
                CONCLAVE_RETURN_IF_ERROR(vector ? CopyVector(part.view, writer)
                                                : CopyMatrix(part.view, tensor.order, writer));
              }
              return Status::Ok();
            }};
  }

  Status CopyVector(const TensorView& view, GgufWriter& writer) const {
    std::vector<std::byte> out(static_cast<size_t>(view.columns()) * sizeof(float));
    CONCLAVE_RETURN_IF_ERROR(ConvertRows(view, {}, 0, 1, DType::kF32, nullptr, pool_, out));
    return writer.Append(out);
  }

  Status CopyMatrix(const TensorView& view, RowOrder order, GgufWriter& writer) const {
    const auto source_row = [&](int64_t row) { return order.SourceRow(row); };
    return AppendRows(view, view.rows(), source_row, pool_, writer);
  }

  OutputTensor Router(int64_t layer, int64_t hidden) const {
    const GgufOutputTensor info = Matrix(Named(names_.router, layer), DType::kF32, 0, shape_.experts, hidden);
    return {info, [this, layer](GgufWriter& writer) {
              return writer.Append(std::as_bytes(std::span(plan_.layers[layer].router)));
            }};
  }

  OutputTensor Rows(const SourceTensor& tensor, const std::string& name, Neurons neurons,
                    int64_t experts) const {
    const TensorView& view = tensor.parts.front().view;
    const auto rows = static_cast<int64_t>(neurons.size());
    const int64_t own = experts > 0 ? rows / experts : rows;
    return {Matrix(name, view.dtype, experts, own, view.columns()),
            [this, &view, neurons, rows](GgufWriter& writer) {
              const auto source_row = [neurons](int64_t row) { return int64_t{neurons[row]}; };
              return AppendRows(view, rows, source_row, pool_, writer);
            }};
  }

  OutputTensor Columns(const SourceTensor& tensor, const std::string& name, Neurons neurons,
                       int64_t experts) const {
    const TensorView& view = tensor.parts.front().view;
    const DType dtype = ExpertDownType(view.dtype);
    const int64_t width = static_cast<int64_t>(neurons.size()) / std::max<int64_t>(1, experts);
    return {Matrix(name, dtype, experts, view.rows(), width),
            [this, &view, neurons, width, dtype](GgufWriter& writer) -> Status {
              for (size_t first = 0; first < neurons.size(); first += static_cast<size_t>(width)) {
                CONCLAVE_RETURN_IF_ERROR(AppendColumns(
                    view, neurons.subspan(first, static_cast<size_t>(width)), dtype, pool_, writer));
              }
              return Status::Ok();
            }};
  }

  /// A dense block's tensor.
  struct Place {
    int64_t layer = 0;
    const std::string* pattern = nullptr;  ///< of names_
  };

  const ExpertShape& shape_;
  const ExpertPlan& plan_;
  ThreadPool& pool_;
  const WeightNames names_;
  std::map<std::string, Place, std::less<>> blocks_;
};

/// The source's pairs under the new family's name, and what that family says of its experts.
GgufPairs PairsFor(const QuantiseSource& source, const GgufFamily& dense, const ExpertShape& shape,
                   DType matrices) {
  const std::string own = std::string(kUpcycledFamily) + ".";
  const std::string old = std::string(dense.name) + ".";
  GgufPairs pairs;
  pairs.AddText("general.architecture", kUpcycledFamily);
  pairs.AddAll(source.pairs.Renamed([&](std::string_view key) -> std::optional<std::string> {
    if (key == "general.architecture") return std::nullopt;
    if (!key.starts_with(old)) return std::string(key);
    const std::string_view rest = key.substr(old.size());
    if (rest.starts_with("expert_")) return std::nullopt;  // A dense model may say that it has 0.
    return own + std::string(rest);
  }));
  pairs.AddText(own + std::string(kDenseFamilyKey), dense.name);
  pairs.AddUint32(own + "expert_count", static_cast<uint32_t>(shape.experts));
  pairs.AddUint32(own + "expert_used_count", static_cast<uint32_t>(shape.chosen));
  pairs.AddUint32(own + "expert_feed_forward_length", static_cast<uint32_t>(shape.width));
  if (shape.shared_width > 0) {
    pairs.AddUint32(own + "expert_shared_feed_forward_length", static_cast<uint32_t>(shape.shared_width));
  }
  AddFormat(matrices, pairs);
  return pairs;
}

}  // namespace

Result<std::vector<TensorView>> DownProjections(const QuantiseSource& source, int64_t layers) {
  const WeightNames names = FileNames();
  std::vector<TensorView> downs;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string name = WeightNames::ForLayer(names.down, layer);
    const auto found =
        std::ranges::find(source.tensors, name, [](const SourceTensor& tensor) { return tensor.view.name; });
    if (found == source.tensors.end()) {
      return InvalidArgument("there is no tensor " + Quoted(name) + "; only dense models can be upcycled");
    }
    downs.push_back(found->parts.front().view);
  }
  return downs;
}

DType ExpertDownType(DType source) { return IsQuantised(source) ? DType::kQ8_0 : source; }

Result<UpcycleReport> WriteUpcycled(const QuantiseSource& source, const Architecture& dense,
                                    const ExpertShape& shape, const ExpertPlan& plan, const std::string& out,
                                    bool replace, ThreadPool& pool,
                                    const std::function<void(int64_t, int64_t)>& progress) {
  CONCLAVE_RETURN_IF_ERROR(CheckKeepsSource(source.path, out));
  const GgufFamily* family = GgufFamilyOf(dense);
  if (family == nullptr) return Unimplemented("the family " + Quoted(dense.family) + " as a GGUF file");
  CONCLAVE_ASSIGN_OR_RETURN(const std::vector<TensorView> downs,
                            DownProjections(source, static_cast<int64_t>(plan.layers.size())));
  const TensorMaker maker(shape, plan, pool);
  std::vector<OutputTensor> tensors;
  for (const SourceTensor& tensor : source.tensors) maker.Add(tensor, tensors);
  std::vector<GgufOutputTensor> infos;
  int64_t total = 0, done = 0;
  const std::string first_gate = WeightNames::ForLayer(FileNames().expert_gate, 0);
  DType matrices = DType::kF32;
  for (const OutputTensor& tensor : tensors) {
    infos.push_back(tensor.info);
    total += tensor.elements();
    if (tensor.info.name == first_gate) matrices = tensor.info.dtype;
  }
  CONCLAVE_ASSIGN_OR_RETURN(
      GgufWriter writer,
      GgufWriter::Create(out, PairsFor(source, *family, shape, matrices), infos, source.alignment, replace));
  for (const OutputTensor& tensor : tensors) {
    CONCLAVE_RETURN_IF_ERROR(tensor.write(writer));
    progress(done += tensor.elements(), total);
  }
  CONCLAVE_RETURN_IF_ERROR(writer.Finish());
  return UpcycleReport{.source_bytes = source.bytes,
                       .bytes = writer.file_bytes(),
                       .down = ExpertDownType(downs.front().dtype)};
}

}  // namespace conclave::engine
