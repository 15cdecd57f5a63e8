#include "engine/quantise/quantise_model.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/files/gguf_writer.h"
#include "engine/quantise/convert_rows.h"

namespace conclave::engine {
namespace {

/// Numbers that are converted between two writes.
constexpr int64_t kChunkNumbers = 1 << 21;

GgufPairs PairsFor(const QuantiseSource& source, DType dtype) {
  GgufPairs pairs = source.pairs;
  AddFormat(dtype, pairs);
  return pairs;
}

std::vector<TensorView> ViewsOf(const QuantiseSource& source) {
  std::vector<TensorView> views;
  for (const SourceTensor& tensor : source.tensors) views.push_back(tensor.view);
  return views;
}

std::vector<GgufOutputTensor> OutputTensors(const std::vector<TensorView>& views,
                                            const std::vector<DType>& plan) {
  std::vector<GgufOutputTensor> tensors;
  for (size_t i = 0; i < plan.size(); ++i) {
    const TensorView& from = views[i];
    tensors.push_back({.name = from.name, .dtype = plan[i], .rank = from.rank, .shape = from.shape});
  }
  return tensors;
}

/// Converts and writes rows of a tensor; `advance` gets the numbers that are done since its last call.
Status WritePart(const SourcePart& part, RowOrder order, DType target, const Importance& importance,
                 ThreadPool& pool, const std::function<void(int64_t)>& advance, GgufWriter& writer) {
  const TensorView& source = part.view;
  const auto found = importance.find(part.source_name);
  const ColumnStatistics* statistics = found == importance.end() ? nullptr : found->second.get();
  const int64_t row_bytes = *RowBytes(target, source.columns());
  const int64_t chunk = std::max<int64_t>(1, kChunkNumbers / source.columns());
  std::vector<std::byte> out;
  for (int64_t begin = 0; begin < source.rows(); begin += chunk) {
    const int64_t end = std::min(source.rows(), begin + chunk);
    out.resize(static_cast<size_t>((end - begin) * row_bytes));
    CONCLAVE_RETURN_IF_ERROR(ConvertRows(source, order, begin, end, target, statistics, pool, out));
    CONCLAVE_RETURN_IF_ERROR(writer.Append(out));
    advance((end - begin) * source.columns());
  }
  return Status::Ok();
}

int64_t CountReplaced(const std::vector<TensorView>& views, const std::vector<DType>& plan,
                      const TensorTypes& types) {
  int64_t count = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    const bool other = plan[i] != types.matrices && plan[i] != types.head;
    count += views[i].rank >= 2 && plan[i] != DType::kF32 && other ? 1 : 0;
  }
  return count;
}

}  // namespace

Result<QuantiseReport> QuantiseModel(const QuantiseSource& source, const std::string& out,
                                     const QuantiseOptions& options, const Importance& importance,
                                     ThreadPool& pool,
                                     const std::function<void(int64_t, int64_t)>& progress) {
  CONCLAVE_RETURN_IF_ERROR(CheckKeepsSource(source.path, out));
  const std::vector<TensorView> views = ViewsOf(source);
  const std::vector<DType> plan = PlanTensors(views, options.types);
  CONCLAVE_ASSIGN_OR_RETURN(
      GgufWriter writer, GgufWriter::Create(out, PairsFor(source, options.types.matrices),
                                            OutputTensors(views, plan), source.alignment, options.replace));
  QuantiseReport report{.replaced = CountReplaced(views, plan, options.types),
                        .source_bytes = source.bytes,
                        .bytes = writer.file_bytes()};
  int64_t total = 0;
  for (const TensorView& view : views) total += view.elements();
  int64_t done = 0;
  const auto advance = [&](int64_t numbers) { progress(done += numbers, total); };
  for (size_t i = 0; i < plan.size(); ++i) {
    const SourceTensor& tensor = source.tensors[i];
    for (const SourcePart& part : tensor.parts) {
      CONCLAVE_RETURN_IF_ERROR(WritePart(part, tensor.order, plan[i], importance, pool, advance, writer));
    }
    ++report.tensors[std::string(InfoOf(plan[i]).name)];
  }
  CONCLAVE_RETURN_IF_ERROR(writer.Finish());
  return report;
}

}  // namespace conclave::engine
