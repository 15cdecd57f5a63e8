#include "app/read_file.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

namespace conclave::app {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;

Result<std::string> ReadStream(std::istream& in, const std::string& name) {
  std::string text;
  std::string part(1 << 16, '\0');
  while (in.read(part.data(), static_cast<std::streamsize>(part.size())), in.gcount() > 0) {
    text.append(part, 0, static_cast<size_t>(in.gcount()));
    if (text.size() > kMostBytes) return InvalidArgument(name + " has over 1 GiB; split it");
  }
  return text;
}

}  // namespace

Result<std::string> ReadWholeFile(const std::string& path) {
  if (path == "-") return ReadStream(std::cin, "standard input");
  if (std::filesystem::is_directory(path)) return InvalidArgument(path + " is a folder; name a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound("cannot read " + path + ": " + std::strerror(errno));
  return ReadStream(in, path);
}

}  // namespace conclave::app
