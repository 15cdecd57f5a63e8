#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/files/byte_reader.h"
#include "engine/files/gguf_metadata.h"

namespace conclave::engine {

/// A GGUF string (64-bit length, bytes) of at most `max_bytes`. Errors: INVALID_ARGUMENT.
Result<std::string> ReadGgufString(ByteReader& reader, uint64_t max_bytes, std::string_view field);

/// A type id and the value that follows it
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, `gguf_metadata_value_t`). Allocates at most a
/// small multiple of the bytes that the file has left. Errors: INVALID_ARGUMENT, UNIMPLEMENTED (arrays of
/// arrays).
Result<GgufValue> ReadGgufValue(ByteReader& reader, std::string_view field);

}  // namespace conclave::engine
