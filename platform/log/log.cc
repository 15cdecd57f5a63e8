#include "platform/log/log.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "base/utf8.h"

namespace conclave::platform {
namespace {

constexpr size_t kMaxValueBytes = 4096;

struct Settings {
  std::atomic<LogLevel> level{LogLevel::kInfo};
  std::atomic<LogFormat> format{LogFormat::kText};
};

Settings& GetSettings() {
  static Settings settings;
  return settings;
}

/// Never destroyed: threads of libraries may log while the program ends.
spdlog::logger& GetLogger() {
  static auto* const logger = [] {
    auto* made = new spdlog::logger("conclave", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

std::string_view LevelName(LogLevel level) {
  static constexpr std::string_view kNames[] = {"trace", "debug", "info", "warning", "error", "off"};
  return kNames[static_cast<size_t>(level)];
}

/// 2026-01-31T12:00:00.123Z
std::string TimeText() {
  const auto now = std::chrono::system_clock::now();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char day[32];
  char text[48];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>(ms % 1000));
  return text;
}

/// The text as valid UTF-8 without anything that moves a terminal's cursor or ends a line or a string.
std::string Escape(std::string_view raw) {
  const bool is_cut = raw.size() > kMaxValueBytes;
  const std::string text = ReplaceInvalidUtf8(is_cut ? raw.substr(0, kMaxValueBytes) : raw);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char byte = static_cast<unsigned char>(text[i]);
    const unsigned char next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    const bool is_c1_control = byte == 0xC2 && next < 0xA0;  // U+0080 to U+009F in UTF-8
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7F || is_c1_control) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", is_c1_control ? next : byte);
      out += code;
      if (is_c1_control) ++i;
    } else {
      out += text[i];
    }
  }
  return is_cut ? out + "[cut]" : out;
}

std::string NumberText(double number, LogFormat format) {
  if (format == LogFormat::kJson && !std::isfinite(number)) return "null";
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", number);
  return text;
}

std::string ValueText(const LogField& field, LogFormat format) {
  if (const auto* number = std::get_if<int64_t>(&field.value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&field.value)) return NumberText(*number, format);
  if (const auto* flag = std::get_if<bool>(&field.value)) return *flag ? "true" : "false";
  const std::string_view text = std::get<std::string_view>(field.value);
  std::string escaped = Escape(text);
  const bool is_plain =
      !text.empty() && escaped.size() == text.size() && text.find_first_of(" =,") == std::string_view::npos;
  if (format == LogFormat::kText && is_plain) return escaped;
  return '"' + escaped + '"';
}

void AppendField(const LogField& field, LogFormat format, std::string* line) {
  if (format == LogFormat::kJson) {
    *line += ",\"" + Escape(field.key) + "\":" + ValueText(field, format);
  } else {
    *line += " " + Escape(field.key) + "=" + ValueText(field, format);
  }
}

}  // namespace

void ConfigureLog(const LogConfig& config) {
  GetSettings().level = config.level;
  GetSettings().format = config.format;
}

bool LogEnabled(LogLevel level) { return level >= GetSettings().level && level != LogLevel::kOff; }

std::string FormatLogLine(LogFormat format, LogLevel level, std::string_view component,
                          std::string_view message, std::initializer_list<LogField> fields) {
  std::string line;
  if (format == LogFormat::kJson) {
    line = "\"level\":\"" + std::string(LevelName(level)) + "\"";
  } else {
    line = "level=" + std::string(LevelName(level));
  }
  AppendField({"component", component}, format, &line);
  AppendField({"message", message}, format, &line);
  for (const LogField& field : fields) AppendField(field, format, &line);
  return format == LogFormat::kJson ? "{" + line + "}" : line;
}

void Log(LogLevel level, std::string_view component, std::string_view message,
         std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const LogFormat format = GetSettings().format;
  const std::string line = FormatLogLine(format, level, component, message, fields);
  const std::string stamped = format == LogFormat::kJson
                                  ? "{\"time\":\"" + TimeText() + "\"," + line.substr(1)
                                  : "time=" + TimeText() + " " + line;
  GetLogger().log(spdlog::level::info, spdlog::string_view_t(stamped));
}

}  // namespace conclave::platform
