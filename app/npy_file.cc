#include "app/npy_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace conclave::app {
namespace {

constexpr size_t kAlignment = 64;

std::string Header(const NpyFile::Shape& shape) {
  std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                           std::to_string(shape.rows) + ", " + std::to_string(shape.columns) + "), }";
  constexpr size_t kPrefix = 10;  // magic, version, and the header's length
  const size_t unpadded = kPrefix + dictionary.size() + 1;
  dictionary.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  dictionary += '\n';
  std::string header = "\x93NUMPY";
  header += '\x01';
  header += '\0';
  header += static_cast<char>(dictionary.size() & 0xFF);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

}  // namespace

Result<NpyFile> NpyFile::Create(const std::string& path, const Shape& shape) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) return PermissionDenied("cannot write " + path + ": " + std::strerror(errno));
  const std::string header = Header(shape);
  out.write(header.data(), static_cast<std::streamsize>(header.size()));
  return NpyFile(path, std::move(out), shape.rows * shape.columns);
}

Status NpyFile::Append(std::span<const float> numbers) {
  out_.write(reinterpret_cast<const char*>(numbers.data()),
             static_cast<std::streamsize>(numbers.size_bytes()));
  missing_ -= static_cast<int64_t>(numbers.size());
  return out_ ? Status::Ok() : ResourceExhausted("cannot write " + path_ + ": " + std::strerror(errno));
}

Status NpyFile::Close() {
  if (missing_ != 0) return Internal(path_ + " lacks " + std::to_string(missing_) + " numbers");
  out_.close();
  return out_ ? Status::Ok() : ResourceExhausted("cannot write " + path_ + ": " + std::strerror(errno));
}

}  // namespace conclave::app
