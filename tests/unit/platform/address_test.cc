#include "platform/config/address.h"

#include <string>

#include <gtest/gtest.h>

namespace conclave::platform {
namespace {

TEST(AddressTest, ReadsEveryForm) {
  EXPECT_EQ(ParseAddress("inproc:conclave")->kind, Address::Kind::kInProcess);
  EXPECT_EQ(ParseAddress("unix:/run/a.sock")->name, "/run/a.sock");
  EXPECT_EQ(ParseAddress("dns:///router.example:7400")->name, "router.example");
  EXPECT_EQ(ParseAddress("127.0.0.1:0")->port, 0);
  EXPECT_EQ(ParseAddress("[::1]:65535")->name, "::1");
  for (const char* text : {"inproc:x", "unix:/a", "localhost:1", "[::1]:2"}) {
    EXPECT_EQ(ParseAddress(text)->ToString(), text);
  }
}

TEST(AddressTest, RefusesWhatIsNone) {
  for (const char* text : {"", "localhost", ":1", "a:", "a:65536", "a:-1", "a:1x", "::1:80", "a b:1",
                           "unix:", "inproc:", "http://a:1", "[]:1"}) {
    EXPECT_EQ(ParseAddress(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_TRUE(ParseAddress("unix:" + std::string(kMaxUnixPathBytes, 'x')).ok());
  EXPECT_FALSE(ParseAddress("unix:" + std::string(kMaxUnixPathBytes + 1, 'x')).ok());
}

TEST(AddressTest, KnowsLoopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.255.0.9", "::1"})
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "128.0.0.1", "127.0.0.1.example", "127", ""}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

}  // namespace
}  // namespace conclave::platform
