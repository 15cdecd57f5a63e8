#include "platform/log/log.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "base/utf8.h"

namespace conclave::platform {
namespace {

constexpr auto kText = LogFormat::kText;
constexpr auto kJson = LogFormat::kJson;

TEST(LogTest, WritesKeysAndValues) {
  const std::string line =
      FormatLogLine(kText, LogLevel::kInfo, "rpc", "call ended",
                    {{"request_id", "r1"}, {"n", 3}, {"share", 0.5}, {"ok", true}, {"empty", ""}});
  EXPECT_EQ(line,
            "level=info component=rpc message=\"call ended\" request_id=r1 n=3 share=0.5 ok=true empty=\"\"");
}

TEST(LogTest, JsonLinesAreJson) {
  const std::string hostile = "a\"b\\c\nd\te\x01\x7f\xff";
  const std::string line =
      FormatLogLine(kJson, LogLevel::kError, "c", "m",
                    {{"text", hostile}, {"nan", std::numeric_limits<double>::quiet_NaN()}});
  const YAML::Node node = YAML::Load(line);  // JSON is YAML
  EXPECT_EQ(node["level"].as<std::string>(), "error");
  EXPECT_EQ(node["text"].as<std::string>(), "a\"b\\c\nd\te\x01\x7f\xEF\xBF\xBD");
  EXPECT_TRUE(node["nan"].IsNull());
}

TEST(LogTest, AHostileValueCannotFakeALineOrMoveTheCursor) {
  const std::string hostile =
      "x\nlevel=error\r\x1b[2J\xc2\x9b"
      "1m";
  for (const LogFormat format : {kText, kJson}) {
    const std::string line = FormatLogLine(format, LogLevel::kInfo, "c", "m", {{"text", hostile}});
    for (const unsigned char byte : line) EXPECT_GE(byte, 0x20);
    EXPECT_EQ(line.find("\xc2\x9b"), std::string::npos);
    EXPECT_NE(line.find("\\u001b"), std::string::npos);
    EXPECT_NE(line.find("\\u009b"), std::string::npos);
  }
}

TEST(LogTest, LongValuesAreCut) {
  const std::string line =
      FormatLogLine(kText, LogLevel::kInfo, "c", "m", {{"text", std::string(100'000, 'x')}});
  EXPECT_LT(line.size(), 5000u);
  EXPECT_NE(line.find("[cut]"), std::string::npos);
  EXPECT_TRUE(IsValidUtf8(line));
}

TEST(LogTest, LevelsAreKept) {
  ConfigureLog({LogLevel::kWarning, kText});
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kError));
  ::testing::internal::CaptureStderr();
  LogInfo("c", "hidden");
  LogWarning("c", "shown", {{"key", "a b"}});
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("hidden"), std::string::npos);
  EXPECT_TRUE(text.starts_with("time=2")) << text;
  EXPECT_TRUE(text.ends_with("Z level=warning component=c message=shown key=\"a b\"\n")) << text;
  ConfigureLog({LogLevel::kOff, kText});
  EXPECT_FALSE(LogEnabled(LogLevel::kError));
  EXPECT_FALSE(LogEnabled(LogLevel::kOff));
  ConfigureLog({});
}

}  // namespace
}  // namespace conclave::platform
