#include "engine/files/json_text.h"

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/limits.h"
#include "engine/files/quoted.h"

namespace conclave::engine {
namespace {

using nlohmann::json;

/// Builds a value from a parser's events and refuses what the grammar allows but no model file needs. (The
/// library's own callback, which could do this, searches an object from its beginning after each of its
/// members.)
class Builder : public nlohmann::json_sax<json> {
 public:
  json& value() { return root_; }
  const std::string& problem() const { return problem_; }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return Refuse("binary data"); }

  bool start_object(std::size_t /*size*/) override { return Open(json::object()); }
  bool start_array(std::size_t /*size*/) override { return Open(json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (open_.back()->contains(name)) return Refuse("the key " + Quoted(name) + " appears twice");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return Refuse("not valid JSON at byte " + std::to_string(position));
  }

 private:
  bool Refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  /// Puts a value where the next one belongs, and returns its place. It stays there until its container
  /// grows, which is after the value itself was closed.
  json* Place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& container = *open_.back();
    if (container.is_object()) return &(container[std::move(key_)] = std::move(value));
    container.push_back(std::move(value));
    return &container.back();
  }

  bool Add(json value) {
    Place(std::move(value));
    return true;
  }

  bool Open(json container) {
    if (open_.size() >= static_cast<size_t>(kMaxJsonDepth)) {
      return Refuse("nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    open_.push_back(Place(std::move(container)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  json root_;
  std::vector<json*> open_;
  std::string key_;
  std::string problem_;
};

}  // namespace

Result<json> ParseJson(std::string_view text) {
  try {
    Builder builder;
    if (!json::sax_parse(text, &builder)) return InvalidArgument(builder.problem());
    return std::move(builder.value());
  } catch (const std::exception& error) {
    return InvalidArgument(std::string("not valid JSON: ") + error.what());
  }
}

}  // namespace conclave::engine
