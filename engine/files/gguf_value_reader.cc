#include "engine/files/gguf_value_reader.h"

#include <algorithm>
#include <limits>

#include "engine/files/limits.h"

namespace conclave::engine {
namespace {

enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

/// The fewest bytes an element of an array takes in the file.
uint64_t SmallestBytes(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kInt8:
    case ValueType::kBool: return 1;
    case ValueType::kUint16:
    case ValueType::kInt16: return 2;
    case ValueType::kUint32:
    case ValueType::kInt32:
    case ValueType::kFloat32: return 4;
    default: return 8;
  }
}

Result<ValueType> ReadType(ByteReader& reader, std::string_view field) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto type, reader.Read<uint32_t>(field));
  if (type > static_cast<uint32_t>(ValueType::kFloat64)) {
    return ByteReader::Malformed(field, at, "unknown value type " + std::to_string(type));
  }
  return static_cast<ValueType>(type);
}

template <typename T>
Result<int64_t> ReadInteger(ByteReader& reader, std::string_view field) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const T value, reader.Read<T>(field));
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return ByteReader::Malformed(field, at, "the number " + std::to_string(value) + " is beyond 63 bits");
    }
  }
  return static_cast<int64_t>(value);
}

Result<int64_t> ReadAnyInteger(ByteReader& reader, ValueType type, std::string_view field) {
  switch (type) {
    case ValueType::kUint8: return ReadInteger<uint8_t>(reader, field);
    case ValueType::kInt8: return ReadInteger<int8_t>(reader, field);
    case ValueType::kUint16: return ReadInteger<uint16_t>(reader, field);
    case ValueType::kInt16: return ReadInteger<int16_t>(reader, field);
    case ValueType::kUint32: return ReadInteger<uint32_t>(reader, field);
    case ValueType::kInt32: return ReadInteger<int32_t>(reader, field);
    case ValueType::kUint64: return ReadInteger<uint64_t>(reader, field);
    default: return ReadInteger<int64_t>(reader, field);
  }
}

Result<double> ReadAnyFloat(ByteReader& reader, ValueType type, std::string_view field) {
  if (type == ValueType::kFloat64) return reader.Read<double>(field);
  CONCLAVE_ASSIGN_OR_RETURN(const float value, reader.Read<float>(field));
  return static_cast<double>(value);
}

Result<bool> ReadBool(ByteReader& reader, std::string_view field) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto value, reader.Read<uint8_t>(field));
  if (value > 1) return ByteReader::Malformed(field, at, "a truth value is neither 0 nor 1");
  return value == 1;
}

/// `count` elements, each read by `read_one`. The caller checked that the file has room for them.
template <typename T, typename ReadOne>
Result<GgufValue> ReadElements(uint64_t count, ReadOne read_one) {
  std::vector<T> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(T value, read_one());
    values.push_back(std::move(value));
  }
  return GgufValue(std::move(values));
}

Result<uint64_t> ReadElementCount(ByteReader& reader, ValueType type, std::string_view field) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto count, reader.Read<uint64_t>(field));
  if (count > kMaxMetadataArrayElements || count > reader.remaining() / SmallestBytes(type)) {
    return ByteReader::Malformed(
        field, at,
        "an array of " + std::to_string(count) + " elements, more than " +
            std::to_string(std::min(kMaxMetadataArrayElements, reader.remaining() / SmallestBytes(type))) +
            " are possible here");
  }
  return count;
}

Result<GgufValue> ReadArray(ByteReader& reader, std::string_view field) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const ValueType type, ReadType(reader, field));
  if (type == ValueType::kArray) {
    return Unimplemented(std::string(field) + " at byte " + std::to_string(at) + ": arrays of arrays");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const uint64_t count, ReadElementCount(reader, type, field));
  switch (type) {
    case ValueType::kBool: return ReadElements<bool>(count, [&] { return ReadBool(reader, field); });
    case ValueType::kString:
      return ReadElements<std::string>(
          count, [&] { return ReadGgufString(reader, kMaxMetadataStringBytes, field); });
    case ValueType::kFloat32:
    case ValueType::kFloat64:
      return ReadElements<double>(count, [&] { return ReadAnyFloat(reader, type, field); });
    default: return ReadElements<int64_t>(count, [&] { return ReadAnyInteger(reader, type, field); });
  }
}

template <typename T>
Result<GgufValue> AsValue(Result<T> result) {
  if (!result.ok()) return result.status();
  return GgufValue(std::move(result).value());
}

}  // namespace

Result<std::string> ReadGgufString(ByteReader& reader, uint64_t max_bytes, std::string_view field) {
  const uint64_t at = reader.offset();
  CONCLAVE_ASSIGN_OR_RETURN(const auto length, reader.Read<uint64_t>(field));
  if (length > max_bytes) {
    return ByteReader::Malformed(field, at,
                                 "a text of " + std::to_string(length) + " bytes, at most " +
                                     std::to_string(max_bytes) + " are allowed");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view text, reader.ReadText(length, field));
  return std::string(text);
}

Result<GgufValue> ReadGgufValue(ByteReader& reader, std::string_view field) {
  CONCLAVE_ASSIGN_OR_RETURN(const ValueType type, ReadType(reader, field));
  switch (type) {
    case ValueType::kBool: return AsValue(ReadBool(reader, field));
    case ValueType::kString: return AsValue(ReadGgufString(reader, kMaxMetadataStringBytes, field));
    case ValueType::kArray: return ReadArray(reader, field);
    case ValueType::kFloat32:
    case ValueType::kFloat64: return AsValue(ReadAnyFloat(reader, type, field));
    default: return AsValue(ReadAnyInteger(reader, type, field));
  }
}

}  // namespace conclave::engine
