#include "engine/files/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>

#include "engine/files/byte_reader.h"
#include "engine/files/gguf_value_reader.h"
#include "engine/files/limits.h"
#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kDefaultAlignment = 32;
constexpr std::string_view kAlignmentKey = "general.alignment";

// The fewest bytes an entry can take: counts beyond what the file has room for are refused before any
// allocation.
constexpr uint64_t kSmallestPairBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kSmallestTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

Status CheckVersion(uint32_t version) {
  if (version == 2 || version == 3) return Status::Ok();
  const uint32_t swapped = version >> 24 | (version >> 8 & 0xFF00) | (version & 0xFF00) << 8 | version << 24;
  if (swapped >= 1 && swapped <= 3) return Unimplemented("version at byte 4: a big-endian GGUF file");
  return Unimplemented("version at byte 4: GGUF version " + std::to_string(version) +
                       ", this engine reads 2 and 3");
}

Status CheckMagic(ByteReader& reader) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view magic, reader.ReadText(kMagic.size(), "magic"));
  if (magic == kMagic) return Status::Ok();
  return ByteReader::Malformed("magic", 0, "this is not a GGUF file");
}

Result<uint64_t> ReadCount(ByteReader& reader, std::string_view field, uint64_t limit,
                           uint64_t smallest_bytes) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto count, reader.Read<uint64_t>(field));
  if (count > limit || count > reader.remaining() / smallest_bytes) {
    return ByteReader::Malformed(field, at,
                                 std::to_string(count) + " entries, at most " +
                                     std::to_string(std::min(limit, reader.remaining() / smallest_bytes)) +
                                     " are possible here");
  }
  return count;
}

Status ReadPair(ByteReader& reader, GgufHeader& header) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(std::string key, ReadGgufString(reader, kMaxMetadataKeyBytes, "metadata key"));
  if (key.empty()) return ByteReader::Malformed("metadata key", at, "empty");
  if (header.metadata.values().contains(key)) {
    return ByteReader::Malformed("metadata key", at, Quoted(key) + " appears twice");
  }
  CONCLAVE_ASSIGN_OR_RETURN(GgufValue value, ReadGgufValue(reader, "metadata value " + Quoted(key)));
  header.pairs.push_back({.key = key, .offset = at, .bytes = reader.offset() - at});
  header.metadata.Set(std::move(key), std::move(value));
  return Status::Ok();
}

Result<uint64_t> Alignment(const GgufMetadata& metadata) {
  if (!metadata.values().contains(kAlignmentKey)) return kDefaultAlignment;
  const auto value = metadata.Int(kAlignmentKey).value_or(0);
  const auto alignment = static_cast<uint64_t>(value);
  if (value < 8 || alignment > kMaxGgufAlignment || !std::has_single_bit(alignment)) {
    return InvalidArgument("metadata value 'general.alignment': must be a power of two from 8 to " +
                           std::to_string(kMaxGgufAlignment));
  }
  return alignment;
}

Status ReadShape(ByteReader& reader, GgufTensorInfo& tensor) {
  const std::string field = "dimensions of tensor " + Quoted(tensor.name);
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto rank, reader.Read<uint32_t>(field));
  if (rank < 1 || rank > static_cast<uint32_t>(kMaxTensorRank)) {
    return ByteReader::Malformed(field, at, std::to_string(rank) + " dimensions, 1 to 4 are allowed");
  }
  tensor.rank = static_cast<int>(rank);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    const uint64_t size_at = reader.offset();
    CONCLAVE_ASSIGN_OR_RETURN(const auto size, reader.Read<uint64_t>(field));
    if (size < 1 || size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / elements) {
      return ByteReader::Malformed(field, size_at,
                                   "a size of " + std::to_string(size) + " is zero or overflows 63 bits");
    }
    elements *= size;
    tensor.shape[rank - 1 - i] = static_cast<int64_t>(size);
  }
  return Status::Ok();
}

/// Sets data_bytes. The number of elements is known to fit 63 bits.
Status ReadType(ByteReader& reader, GgufTensorInfo& tensor) {
  const std::string field = "type of tensor " + Quoted(tensor.name);
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto id, reader.Read<uint32_t>(field));
  tensor.type = FindGgufTensorType(id);
  if (tensor.type == nullptr) return ByteReader::Malformed(field, at, "unknown type " + std::to_string(id));
  const GgufTensorType& type = *tensor.type;
  uint64_t elements = 1;
  for (int i = 0; i < tensor.rank; ++i) elements *= static_cast<uint64_t>(tensor.shape[i]);
  const auto columns = static_cast<uint64_t>(tensor.shape[tensor.rank - 1]);
  if (columns % type.block_elements != 0) {
    return ByteReader::Malformed(field, at,
                                 "rows of " + std::to_string(columns) + " numbers are not whole " +
                                     std::string(type.name) + " blocks of " +
                                     std::to_string(type.block_elements));
  }
  const uint64_t blocks = elements / type.block_elements;
  if (blocks > kMaxModelFileBytes / type.block_bytes) {
    return ByteReader::Malformed(field, at, "the tensor is larger than any file");
  }
  tensor.data_bytes = blocks * type.block_bytes;
  return Status::Ok();
}

/// Reads one directory entry. Its data_offset still counts from the beginning of the data.
Result<GgufTensorInfo> ReadTensorInfo(ByteReader& reader, uint64_t alignment) {
  GgufTensorInfo tensor;
  tensor.entry_offset = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(tensor.name, ReadGgufString(reader, kMaxTensorNameBytes, "tensor name"));
  if (tensor.name.empty()) return ByteReader::Malformed("tensor name", tensor.entry_offset, "empty");
  CONCLAVE_RETURN_IF_ERROR(ReadShape(reader, tensor));
  CONCLAVE_RETURN_IF_ERROR(ReadType(reader, tensor));
  const std::string field = "data offset of tensor " + Quoted(tensor.name);
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(tensor.data_offset, reader.Read<uint64_t>(field));
  if (tensor.data_offset % alignment != 0) {
    return ByteReader::Malformed(field, at,
                                 std::to_string(tensor.data_offset) + " is not a multiple of the alignment " +
                                     std::to_string(alignment));
  }
  return tensor;
}

Result<std::vector<GgufTensorInfo>> ReadTensorInfos(ByteReader& reader, uint64_t count, uint64_t alignment) {
  std::vector<GgufTensorInfo> tensors;
  tensors.reserve(count);
  std::set<std::string_view> names;  // Views of `tensors`, which never moves: its room is reserved.
  for (uint64_t i = 0; i < count; ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(GgufTensorInfo tensor, ReadTensorInfo(reader, alignment));
    tensors.push_back(std::move(tensor));
    const GgufTensorInfo& added = tensors.back();
    if (!names.insert(added.name).second) {
      return ByteReader::Malformed("tensor name", added.entry_offset, Quoted(added.name) + " appears twice");
    }
  }
  return tensors;
}

/// Moves data offsets to count from the beginning of the file, and checks that data lie inside it.
Status PlaceData(uint64_t data_begin, uint64_t file_bytes, std::vector<GgufTensorInfo>& tensors) {
  for (GgufTensorInfo& tensor : tensors) {
    const bool inside = data_begin <= file_bytes && tensor.data_offset <= file_bytes - data_begin &&
                        tensor.data_bytes <= file_bytes - data_begin - tensor.data_offset;
    if (!inside) {
      return ByteReader::Malformed("tensor " + Quoted(tensor.name), tensor.entry_offset,
                                   std::to_string(tensor.data_bytes) + " bytes of data at offset " +
                                       std::to_string(tensor.data_offset) +
                                       " lie beyond the end of the file (" + std::to_string(file_bytes) +
                                       " bytes): is the download complete?");
    }
    tensor.data_offset += data_begin;
  }
  return Status::Ok();
}

Status CheckOverlaps(const std::vector<GgufTensorInfo>& tensors) {
  std::vector<const GgufTensorInfo*> ordered;
  ordered.reserve(tensors.size());
  for (const GgufTensorInfo& tensor : tensors) ordered.push_back(&tensor);
  std::ranges::sort(ordered, {}, &GgufTensorInfo::data_offset);
  for (size_t i = 1; i < ordered.size(); ++i) {
    const GgufTensorInfo& before = *ordered[i - 1];
    if (ordered[i]->data_offset < before.data_offset + before.data_bytes) {
      return ByteReader::Malformed("tensor " + Quoted(ordered[i]->name), ordered[i]->entry_offset,
                                   "its data overlap those of " + Quoted(before.name));
    }
  }
  return Status::Ok();
}

}  // namespace

bool HasGgufMagic(std::span<const std::byte> file) {
  return file.size() >= kMagic.size() && std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<GgufHeader> ReadGgufHeader(std::span<const std::byte> file) {
  ByteReader reader(file);
  GgufHeader header;
  CONCLAVE_RETURN_IF_ERROR(CheckMagic(reader));
  CONCLAVE_ASSIGN_OR_RETURN(header.version, reader.Read<uint32_t>("version"));
  CONCLAVE_RETURN_IF_ERROR(CheckVersion(header.version));
  CONCLAVE_ASSIGN_OR_RETURN(const uint64_t tensor_count,
                            ReadCount(reader, "tensor count", kMaxTensors, kSmallestTensorBytes));
  CONCLAVE_ASSIGN_OR_RETURN(const uint64_t pair_count,
                            ReadCount(reader, "metadata count", kMaxMetadataPairs, kSmallestPairBytes));
  for (uint64_t i = 0; i < pair_count; ++i) CONCLAVE_RETURN_IF_ERROR(ReadPair(reader, header));
  CONCLAVE_ASSIGN_OR_RETURN(header.alignment, Alignment(header.metadata));
  CONCLAVE_ASSIGN_OR_RETURN(header.tensors, ReadTensorInfos(reader, tensor_count, header.alignment));
  const uint64_t data_begin = (reader.offset() + header.alignment - 1) / header.alignment * header.alignment;
  CONCLAVE_RETURN_IF_ERROR(PlaceData(data_begin, file.size(), header.tensors));
  CONCLAVE_RETURN_IF_ERROR(CheckOverlaps(header.tensors));
  return header;
}

}  // namespace conclave::engine
