#include "services/feedback/trl_lines.h"

#include <google/protobuf/util/json_util.h>

#include "services/feedback/json_text.h"

namespace conclave::feedback {
namespace {

bool IsStandard(v1::ExportStyle style) { return style == v1::EXPORT_STYLE_STANDARD; }

bool IsOfStyle(v1::ExportStyle style, const v1::RecordRequest& answer) {
  return IsStandard(style) ? !answer.prompt().empty() : answer.messages_size() > 0;
}

std::string_view RoleName(v1::Role role) {
  switch (role) {
    case v1::ROLE_SYSTEM: return "system";
    case v1::ROLE_ASSISTANT: return "assistant";
    case v1::ROLE_TOOL: return "tool";
    default: return "user";
  }
}

void AppendMessage(std::string& json, v1::Role role, std::string_view content) {
  json += "{\"role\": \"";
  json += RoleName(role);
  json += "\", \"content\": ";
  AppendJsonString(json, content);
  json += '}';
}

/// The prompt's turns without brackets, separated by commas.
void AppendTurns(std::string& json, const v1::RecordRequest& answer) {
  for (int i = 0; i < answer.messages_size(); ++i) {
    if (i > 0) json += ", ";
    AppendMessage(json, answer.messages(i).role(), answer.messages(i).content());
  }
}

void AppendPrompt(std::string& json, v1::ExportStyle style, const v1::RecordRequest& answer) {
  json += "\"prompt\": ";
  if (IsStandard(style)) {
    AppendJsonString(json, answer.prompt());
    return;
  }
  json += '[';
  AppendTurns(json, answer);
  json += ']';
}

void AppendCompletion(std::string& json, v1::ExportStyle style, std::string_view column,
                      std::string_view text) {
  json += ", \"";
  json += column;
  json += "\": ";
  if (IsStandard(style)) {
    AppendJsonString(json, text);
    return;
  }
  json += '[';
  AppendMessage(json, v1::ROLE_ASSISTANT, text);
  json += ']';
}

}  // namespace

std::optional<std::string> PreferenceLine(v1::ExportStyle style, const v1::RecordRequest& answer,
                                          std::string_view chosen, std::string_view rejected) {
  if (!IsOfStyle(style, answer) || chosen == rejected) return std::nullopt;
  std::string json = "{";
  AppendPrompt(json, style, answer);
  AppendCompletion(json, style, "chosen", chosen);
  AppendCompletion(json, style, "rejected", rejected);
  return json + "}";
}

std::optional<std::string> UnpairedLine(v1::ExportStyle style, const v1::RecordRequest& answer, bool label) {
  if (!IsOfStyle(style, answer)) return std::nullopt;
  std::string json = "{";
  AppendPrompt(json, style, answer);
  AppendCompletion(json, style, "completion", answer.text());
  return json + (label ? ", \"label\": true}" : ", \"label\": false}");
}

std::optional<std::string> SftLine(v1::ExportStyle style, const v1::RecordRequest& answer,
                                   std::string_view completion) {
  if (!IsOfStyle(style, answer)) return std::nullopt;
  std::string json = "{";
  if (IsStandard(style)) {
    AppendPrompt(json, style, answer);
    AppendCompletion(json, style, "completion", completion);
    return json + "}";
  }
  json += "\"messages\": [";
  AppendTurns(json, answer);
  json += ", ";
  AppendMessage(json, v1::ROLE_ASSISTANT, completion);
  return json + "]}";
}

std::optional<std::string> RatingLine(const v1::ExportedRating& rating) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(rating, &json, options).ok()) return std::nullopt;
  return json;
}

}  // namespace conclave::feedback
