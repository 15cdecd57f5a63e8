#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "platform/config/config.h"

namespace conclave::platform {

/// A named value of a log line.
struct LogField {
  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
  LogField(std::string_view name, const std::string& text) : key(name), value(std::string_view(text)) {}
  LogField(std::string_view name, bool flag) : key(name), value(flag) {}
  LogField(std::string_view name, std::integral auto number)
      : key(name), value(static_cast<int64_t>(number)) {}
  LogField(std::string_view name, double number) : key(name), value(number) {}

  std::string_view key;
  std::variant<std::string_view, int64_t, double, bool> value;
};

/// Sets level and format for the whole process. Lines go to stderr, each in one write. Until it is called:
/// info, text.
void ConfigureLog(const LogConfig& config);

/// Whether a line of this level would be written.
bool LogEnabled(LogLevel level);

/// Writes one line: time, level, `component` ("decoder", "rpc"), `message` (a constant sentence), fields. Put
/// the request's id in as "request_id". Any thread may call. Values may hold anything: control characters and
/// invalid UTF-8 are escaped, so that a value can never fake a line; each is cut at 4 KiB.
void Log(LogLevel level, std::string_view component, std::string_view message,
         std::initializer_list<LogField> fields = {});

inline void LogDebug(std::string_view component, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, component, message, fields);
}
inline void LogInfo(std::string_view component, std::string_view message,
                    std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, component, message, fields);
}
inline void LogWarning(std::string_view component, std::string_view message,
                       std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, component, message, fields);
}
inline void LogError(std::string_view component, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, component, message, fields);
}

/// The line that Log writes, without the time: for tests and other sinks.
std::string FormatLogLine(LogFormat format, LogLevel level, std::string_view component,
                          std::string_view message, std::initializer_list<LogField> fields);

}  // namespace conclave::platform
