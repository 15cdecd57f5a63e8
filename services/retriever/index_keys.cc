#include "services/retriever/index_keys.h"

namespace conclave::retriever {
namespace {

void AppendNumber(std::string& key, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(number >> shift);
}

}  // namespace

std::string CollectionPrefix(std::string_view tenant) {
  std::string key = "c";
  key.append(tenant).push_back('\0');
  return key;
}

std::string CollectionKey(const CollectionId& collection) {
  return CollectionPrefix(collection.tenant) + collection.name;
}

DataKeys::DataKeys(const CollectionId& collection) {
  prefix_ = "d";
  prefix_.append(collection.tenant).push_back('\0');
  prefix_.append(collection.name).push_back('\0');
}

std::string DataKeys::Source(std::string_view source) const { return (prefix_ + 's').append(source); }

std::string DataKeys::Chunk(uint64_t chunk) const {
  std::string key = prefix_ + 'k';
  AppendNumber(key, chunk);
  return key;
}

std::string DataKeys::Lengths(uint64_t block) const {
  std::string key = prefix_ + 'l';
  AppendNumber(key, block);
  return key;
}

std::string DataKeys::TermPrefix(std::string_view term) const {
  std::string key = prefix_ + 'p';
  key.append(term).push_back('\0');
  return key;
}

std::string DataKeys::Postings(std::string_view term, uint64_t block) const {
  std::string key = TermPrefix(term);
  AppendNumber(key, block);
  return key;
}

std::optional<uint64_t> TrailingNumber(std::string_view key) {
  if (key.size() < 8) return std::nullopt;
  uint64_t number = 0;
  for (const char c : key.substr(key.size() - 8)) number = number << 8 | static_cast<uint8_t>(c);
  return number;
}

}  // namespace conclave::retriever
