#include "engine/quantise/quantise_gguf.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "engine/files/gguf_header.h"
#include "engine/files/gguf_writer.h"
#include "engine/files/mapped_file.h"
#include "engine/files/quoted.h"
#include "engine/quantise/convert_rows.h"

namespace conclave::engine {
namespace {

/// Numbers that are converted between two writes.
constexpr int64_t kChunkNumbers = 1 << 21;

constexpr std::string_view kFileTypeKey = "general.file_type";
constexpr std::string_view kVersionKey = "general.quantization_version";
/// Of the block formats' layout; it has been 2 since 2023.
constexpr uint32_t kQuantisationVersion = 2;
/// How `in` was quantised is not how `out` is.
constexpr std::string_view kStalePrefix = "quantize.imatrix.";

TensorView ViewOf(const GgufTensorInfo& info, const MappedFile& file) {
  TensorView view;
  view.name = info.name;
  view.dtype = *info.type->dtype;
  view.rank = info.rank;
  view.shape = info.shape;
  view.data = file.bytes().data() + info.data_offset;
  view.bytes = static_cast<int64_t>(info.data_bytes);
  return view;
}

Status CheckSource(const GgufHeader& header, const QuantiseOptions& options) {
  if (header.metadata.Int("split.count").value_or(1) > 1) {
    return Unimplemented(
        "metadata key 'split.count': this is one part of a split model; join the parts first");
  }
  for (const GgufTensorInfo& tensor : header.tensors) {
    if (!tensor.type->dtype) {
      return Unimplemented("tensor " + Quoted(tensor.name) + " is stored as " +
                           std::string(tensor.type->name) + ", which cannot be read");
    }
    if (!IsQuantised(*tensor.type->dtype) || options.requantise) continue;
    return FailedPrecondition("tensor " + Quoted(tensor.name) + " is quantised already (" +
                              std::string(tensor.type->name) +
                              "): errors add up, so start from the float model, or allow it (--requantize)");
  }
  return Status::Ok();
}

GgufPairs PairsFor(const GgufHeader& header, const MappedFile& file, DType dtype) {
  GgufPairs pairs;
  for (const GgufPairSpan& pair : header.pairs) {
    if (pair.key == kFileTypeKey || pair.key == kVersionKey || pair.key.starts_with(kStalePrefix)) continue;
    pairs.AddEncoded(file.bytes().subspan(pair.offset, pair.bytes));
  }
  pairs.AddUint32(kFileTypeKey, FileTypeOf(dtype));
  pairs.AddUint32(kVersionKey, kQuantisationVersion);
  return pairs;
}

std::vector<GgufOutputTensor> OutputTensors(const GgufHeader& header, const std::vector<DType>& plan) {
  std::vector<GgufOutputTensor> tensors;
  for (size_t i = 0; i < plan.size(); ++i) {
    const GgufTensorInfo& from = header.tensors[i];
    tensors.push_back({.name = from.name, .dtype = plan[i], .rank = from.rank, .shape = from.shape});
  }
  return tensors;
}

Status CheckDifferentFiles(const std::string& in, const std::string& out) {
  std::error_code ignored;
  if (!std::filesystem::equivalent(in, out, ignored)) return Status::Ok();
  return InvalidArgument(Quoted(out) + " is the model that is read; give another file to write");
}

/// Converts and writes one tensor; `advance` gets the numbers that are done since its last call.
Status WriteTensor(const TensorView& source, DType target, const Importance& importance, ThreadPool& pool,
                   const std::function<void(int64_t)>& advance, GgufWriter& writer) {
  const auto found = importance.find(source.name);
  const ColumnStatistics* statistics = found == importance.end() ? nullptr : found->second.get();
  const int64_t row_bytes = *RowBytes(target, source.columns());
  const int64_t chunk = std::max<int64_t>(1, kChunkNumbers / source.columns());
  std::vector<std::byte> out;
  for (int64_t begin = 0; begin < source.rows(); begin += chunk) {
    const int64_t end = std::min(source.rows(), begin + chunk);
    out.resize(static_cast<size_t>((end - begin) * row_bytes));
    CONCLAVE_RETURN_IF_ERROR(ConvertRows(source, begin, end, target, statistics, pool, out));
    CONCLAVE_RETURN_IF_ERROR(writer.Append(out));
    advance((end - begin) * source.columns());
  }
  return Status::Ok();
}

int64_t CountReplaced(const GgufHeader& header, const std::vector<DType>& plan, const TensorTypes& types) {
  int64_t count = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    const bool other = plan[i] != types.matrices && plan[i] != types.head;
    count += header.tensors[i].rank >= 2 && plan[i] != DType::kF32 && other ? 1 : 0;
  }
  return count;
}

}  // namespace

Result<QuantiseReport> QuantiseGguf(const std::string& in, const std::string& out,
                                    const QuantiseOptions& options, const Importance& importance,
                                    ThreadPool& pool, const std::function<void(int64_t, int64_t)>& progress) {
  CONCLAVE_RETURN_IF_ERROR(CheckDifferentFiles(in, out));
  CONCLAVE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(in));
  const Result<GgufHeader> read = ReadGgufHeader(file.bytes());
  if (!read.ok()) return read.status().Annotate(in);
  const GgufHeader& header = *read;
  if (const Status status = CheckSource(header, options); !status.ok()) return status.Annotate(in);

  const std::vector<DType> plan = PlanTensors(header.tensors, options.types);
  CONCLAVE_ASSIGN_OR_RETURN(
      GgufWriter writer, GgufWriter::Create(out, PairsFor(header, file, options.types.matrices),
                                            OutputTensors(header, plan), header.alignment, options.replace));
  QuantiseReport report{.replaced = CountReplaced(header, plan, options.types),
                        .source_bytes = file.bytes().size(),
                        .bytes = writer.file_bytes()};
  int64_t total = 0;
  for (const GgufTensorInfo& tensor : header.tensors) total += ViewOf(tensor, file).elements();
  int64_t done = 0;
  const auto advance = [&](int64_t numbers) { progress(done += numbers, total); };
  for (size_t i = 0; i < plan.size(); ++i) {
    CONCLAVE_RETURN_IF_ERROR(
        WriteTensor(ViewOf(header.tensors[i], file), plan[i], importance, pool, advance, writer));
    ++report.tensors[std::string(InfoOf(plan[i]).name)];
  }
  CONCLAVE_RETURN_IF_ERROR(writer.Finish());
  return report;
}

}  // namespace conclave::engine
