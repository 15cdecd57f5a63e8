#include "engine/files/gguf_writer.h"

#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "engine/files/gguf_types.h"
#include "engine/files/limits.h"
#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

constexpr uint32_t kVersion = 3;
// The ids of value types.
constexpr uint32_t kUint32Type = 4;
constexpr uint32_t kInt32Type = 5;
constexpr uint32_t kFloat32Type = 6;
constexpr uint32_t kBoolType = 7;
constexpr uint32_t kTextType = 8;
constexpr uint32_t kArrayType = 9;

template <typename T>
void AppendNumber(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void AppendString(std::string& out, std::string_view text) {
  AppendNumber(out, uint64_t{text.size()});
  out += text;
}

uint64_t Aligned(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void AppendDirectoryEntry(std::string& out, const GgufOutputTensor& tensor, uint64_t offset) {
  AppendString(out, tensor.name);
  AppendNumber(out, static_cast<uint32_t>(tensor.rank));
  for (int i = tensor.rank - 1; i >= 0; --i) AppendNumber(out, static_cast<uint64_t>(tensor.shape[i]));
  AppendNumber(out, GgufTensorTypeOf(tensor.dtype).id);
  AppendNumber(out, offset);
}

}  // namespace

void GgufPairs::BeginPair(std::string_view key) {
  begins_.push_back(bytes_.size());
  AppendString(bytes_, key);
}

void GgufPairs::BeginArray(std::string_view key, uint32_t type, size_t count) {
  BeginPair(key);
  AppendNumber(bytes_, kArrayType);
  AppendNumber(bytes_, type);
  AppendNumber(bytes_, uint64_t{count});
}

void GgufPairs::AddEncoded(std::span<const std::byte> pair) {
  begins_.push_back(bytes_.size());
  bytes_.append(reinterpret_cast<const char*>(pair.data()), pair.size());
}

void GgufPairs::AddAll(const GgufPairs& others) {
  for (const size_t begin : others.begins_) begins_.push_back(bytes_.size() + begin);
  bytes_ += others.bytes_;
}

void GgufPairs::AddUint32(std::string_view key, uint32_t value) {
  BeginPair(key);
  AppendNumber(bytes_, kUint32Type);
  AppendNumber(bytes_, value);
}

void GgufPairs::AddFloat32(std::string_view key, float value) {
  BeginPair(key);
  AppendNumber(bytes_, kFloat32Type);
  AppendNumber(bytes_, value);
}

void GgufPairs::AddBool(std::string_view key, bool value) {
  BeginPair(key);
  AppendNumber(bytes_, kBoolType);
  AppendNumber(bytes_, static_cast<uint8_t>(value));
}

void GgufPairs::AddText(std::string_view key, std::string_view value) {
  BeginPair(key);
  AppendNumber(bytes_, kTextType);
  AppendString(bytes_, value);
}

void GgufPairs::AddTexts(std::string_view key, const std::vector<std::string>& values) {
  BeginArray(key, kTextType, values.size());
  for (const std::string& value : values) AppendString(bytes_, value);
}

void GgufPairs::AddInt32s(std::string_view key, const std::vector<int32_t>& values) {
  BeginArray(key, kInt32Type, values.size());
  for (const int32_t value : values) AppendNumber(bytes_, value);
}

GgufPairs GgufPairs::Renamed(
    const std::function<std::optional<std::string>(std::string_view key)>& key_of) const {
  GgufPairs renamed;
  for (size_t i = 0; i < begins_.size(); ++i) {
    const size_t end = i + 1 < begins_.size() ? begins_[i + 1] : bytes_.size();
    const std::string_view pair = std::string_view(bytes_).substr(begins_[i], end - begins_[i]);
    uint64_t length = 0;
    std::memcpy(&length, pair.data(), sizeof length);
    const auto key = key_of(pair.substr(sizeof length, length));
    if (!key) continue;
    renamed.BeginPair(*key);
    renamed.bytes_ += pair.substr(sizeof length + length);
  }
  return renamed;
}

Result<uint64_t> GgufOutputTensor::Bytes() const {
  const std::string where = "tensor " + Quoted(name);
  if (rank < 1 || rank > kMaxTensorRank) return InvalidArgument(where + ": 1 to 4 dimensions are possible");
  int64_t rows = 1;
  for (int i = 0; i < rank; ++i) {
    if (shape[i] < 1 || shape[i] > std::numeric_limits<int64_t>::max() / rows) {
      return InvalidArgument(where + ": a size is not positive or overflows 63 bits");
    }
    if (i + 1 < rank) rows *= shape[i];
  }
  const auto row_bytes = RowBytes(dtype, shape[rank - 1]);
  if (!row_bytes) {
    return InvalidArgument(where + ": rows of " + std::to_string(shape[rank - 1]) +
                           " numbers are not whole blocks of " + std::string(InfoOf(dtype).name));
  }
  if (*row_bytes > static_cast<int64_t>(kMaxModelFileBytes) / rows) {
    return InvalidArgument(where + ": larger than any model file may be");
  }
  return static_cast<uint64_t>(rows * *row_bytes);
}

Result<GgufWriter> GgufWriter::Create(std::string path, const GgufPairs& pairs,
                                      const std::vector<GgufOutputTensor>& tensors, uint64_t alignment,
                                      bool replace) {
  if (alignment < 8 || alignment > kMaxGgufAlignment || !std::has_single_bit(alignment)) {
    return InvalidArgument("an alignment of " + std::to_string(alignment) + " bytes is not possible");
  }
  std::string header = "GGUF";
  AppendNumber(header, kVersion);
  AppendNumber(header, uint64_t{tensors.size()});
  AppendNumber(header, pairs.count());
  header += pairs.bytes();
  std::vector<uint64_t> sizes;
  uint64_t data_bytes = 0;
  for (const GgufOutputTensor& tensor : tensors) {
    CONCLAVE_ASSIGN_OR_RETURN(const uint64_t bytes, tensor.Bytes());
    AppendDirectoryEntry(header, tensor, data_bytes);
    data_bytes += Aligned(bytes, alignment);
    sizes.push_back(bytes);
    if (data_bytes > kMaxModelFileBytes) return InvalidArgument("the file would be larger than any may be");
  }
  header.resize(Aligned(header.size(), alignment));
  const uint64_t file_bytes = header.size() + data_bytes;
  CONCLAVE_ASSIGN_OR_RETURN(NewFile file, NewFile::Create(std::move(path), file_bytes, replace));
  CONCLAVE_RETURN_IF_ERROR(file.Append(AsBytes(header)));
  return GgufWriter(std::move(file), std::move(sizes), alignment, file_bytes);
}

Status GgufWriter::Pad() {
  const std::vector<std::byte> zeros(Aligned(file_.size_bytes(), alignment_) - file_.size_bytes());
  return file_.Append(zeros);
}

Status GgufWriter::Append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Status::Ok();
  if (current_ == tensor_bytes_.size() || bytes.size() > tensor_bytes_[current_] - appended_) {
    return Internal("more bytes than the tensors of a GGUF file have");
  }
  CONCLAVE_RETURN_IF_ERROR(file_.Append(bytes));
  appended_ += bytes.size();
  if (appended_ < tensor_bytes_[current_]) return Status::Ok();
  ++current_;
  appended_ = 0;
  return Pad();
}

Status GgufWriter::Finish() {
  if (current_ != tensor_bytes_.size()) return Internal("a tensor of a GGUF file lacks bytes");
  return file_.Commit();
}

}  // namespace conclave::engine
