#include "platform/config/config.h"

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "platform/config/config_schema.h"
#include "platform/config/nearest.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::platform {
namespace {

using Variables = std::map<std::string, std::string>;

class ConfigTest : public ::testing::Test {
 protected:
  std::filesystem::path Written(const std::string& text) {
    const auto path = folder_.path() / "conclave.yaml";
    std::ofstream(path) << text;
    return path;
  }

  Result<Config> Load(const std::string& text, const Variables& variables = {{"HOME", "/home/u"}},
                      const std::vector<ConfigOverride>& overrides = {}) {
    return LoadConfig(Written(text), variables, overrides);
  }

  /// The file is refused with INVALID_ARGUMENT, and the message holds every one of the parts.
  void ExpectRefused(const std::string& text, const std::vector<std::string>& parts) {
    const auto config = Load(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument) << config.status().ToString();
    for (const std::string& part : parts) {
      EXPECT_NE(config.status().message().find(part), std::string::npos)
          << part << " in " << config.status().message();
    }
  }

  test::TemporaryFolder folder_;
};

TEST_F(ConfigTest, WithoutAnythingThereIsOneProcessWithAllServices) {
  const auto config = LoadConfig("", {{"HOME", "/home/u"}}, {});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->home, "/home/u/.local/share/conclave");
  EXPECT_EQ(config->data_dir, "/home/u/.local/share/conclave/data");
  ASSERT_EQ(config->processes.size(), 1u);
  const ProcessConfig* process = *config->ProcessNamed("");
  EXPECT_EQ(process->name, "conclave");
  EXPECT_EQ(process->services.size(), 6u);
  EXPECT_EQ(process->listen, "127.0.0.1:7400");
  EXPECT_EQ(process->http, "127.0.0.1:7480");
  for (const auto service : kServiceNames) {
    EXPECT_EQ(config->AddressesOf(service, *process), (std::vector<std::string>{"inproc:conclave"}));
  }
}

TEST_F(ConfigTest, FlagsOverrideVariablesOverrideTheFile) {
  const std::string file = "threads: 1\nlimits: {queued_requests: 10, kv_bytes: 1GiB}\nmodel: from-file\n";
  const Variables variables{
      {"HOME", "/h"}, {"CONCLAVE_THREADS", "2"}, {"CONCLAVE_LIMITS_QUEUED_REQUESTS", "20"}};
  const auto config = Load(file, variables, {{"threads", "3"}});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->threads, 3);
  EXPECT_EQ(config->limits.queued_requests, 20);
  EXPECT_EQ(config->limits.kv_bytes, int64_t{1} << 30);
  EXPECT_EQ(config->model, "from-file");
}

TEST_F(ConfigTest, AnUnknownKeyNamesFileLineAndTheNearest) {
  ExpectRefused("model: m\nlimits:\n  queud_requests: 3\n",
                {"conclave.yaml:3:", "\"queud_requests\"", "\"queued_requests\""});
  ExpectRefused("modle: m\n", {"conclave.yaml:1:", "\"model\""});
  ExpectRefused("procesess: []\n", {"\"processes\""});
  ExpectRefused("processes:\n  - name: a\n    serivces: [router]\n", {"conclave.yaml:3:", "\"services\""});
  ExpectRefused("processes:\n  - {name: a, services: [ruoter], listen: 'unix:/a'}\n", {"\"router\""});
  ExpectRefused("log: {levle: info}\n", {"\"level\""});
}

TEST_F(ConfigTest, AMisspeltVariableIsRefusedAndAForeignOneIsNot) {
  const auto refused = Load("", {{"HOME", "/h"}, {"CONCLAVE_THRAEDS", "2"}});
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("CONCLAVE_THREADS"), std::string::npos);
  EXPECT_TRUE(Load("", {{"HOME", "/h"}, {"CONCLAVE_SERVICE_PORT_GRPC", "tcp://10.0.0.1:7400"}}).ok());
  const auto bad_value = Load("", {{"HOME", "/h"}, {"CONCLAVE_THREADS", "many"}});
  EXPECT_NE(bad_value.status().message().find("CONCLAVE_THREADS"), std::string::npos);
  EXPECT_EQ(Load("", {{"HOME", "/h"}}, {{"thread", "1"}}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ConfigTest, ValuesOutsideTheirRangeAreRefused) {
  ExpectRefused("threads: -1\n", {":1:", "threads", "outside 0 to 1024"});
  ExpectRefused("threads: 99999999999999999999\n", {"outside"});
  ExpectRefused("threads: 2x\n", {"not a whole number"});
  ExpectRefused("limits: {kv_bytes: 99999999999GiB}\n", {"outside"});
  ExpectRefused("insecure: maybe\n", {"not true or false"});
  ExpectRefused("log: {level: wraning}\n", {"\"warning\""});
  ExpectRefused("threads: [1]\n", {"single value"});
  ExpectRefused("limits: 3\n", {"mapping"});
  ExpectRefused("- a\n", {"mapping"});
  ExpectRefused("model: a\nmodel: b\n", {":2:", "twice"});
}

TEST_F(ConfigTest, BrokenFilesAreRefusedAndDoNotCrash) {
  ExpectRefused("model: [unclosed\n", {"not valid YAML"});
  ExpectRefused("a: &x [*x, *x]\n", {});
  ExpectRefused(std::string(100'000, '['), {"not valid YAML"});
  ExpectRefused(std::string("mo\0del: x", 9), {});
  ExpectRefused(std::string(2u << 20, '#'), {"larger than 1 MiB"});
  EXPECT_EQ(LoadConfig(folder_.path() / "absent.yaml", {}, {}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(LoadConfig(folder_.path(), {}, {}).status().code(), StatusCode::kNotFound);
}

TEST_F(ConfigTest, OnlyTheListedVariablesAreReplaced) {
  const std::string file =
      "home: ~/c\ndata_dir: ${CONCLAVE_HOME}/d\n"
      "processes:\n  - {name: a, services: [router], listen: 'unix:${DATA_DIR}/a.sock'}\n";
  const auto config = Load(file);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->processes[0].listen, "unix:/home/u/c/d/a.sock");
  ExpectRefused("data_dir: ${PATH}/d\n", {"${PATH}"});
  ExpectRefused("data_dir: ${HOME/d\n", {"without"});
  EXPECT_EQ(Load("data_dir: ~/d\nhome: /c\n", {}).status().code(), StatusCode::kInvalidArgument)
      << "HOME is not set";
}

TEST_F(ConfigTest, ExpertsMayLiveInSeveralProcesses) {
  const auto config = Load(
      "processes:\n - {name: a, services: [experts], listen: '127.0.0.1:1', experts: {slices: [0, 1]}}\n"
      " - {name: b, services: [experts], listen: '127.0.0.1:2', experts: {slices: [1]}}\n"
      " - {name: c, services: [experts], listen: '127.0.0.1:3'}\n",
      {{"HOME", "/h"}});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
}

TEST_F(ConfigTest, ContradictionsBetweenProcessesAreRefused) {
  const std::string a =
      "processes:\n - {name: a, services: [experts, router], listen: '127.0.0.1:1', experts: {slices: "
      "[0]}}\n";
  ExpectRefused(a + " - {name: a, services: [feedback], listen: '127.0.0.1:2'}\n", {"two processes"});
  ExpectRefused(a + " - {name: b, services: [feedback], listen: '127.0.0.1:1'}\n", {"used twice"});
  ExpectRefused(a + " - {name: b, services: [router], listen: '127.0.0.1:2'}\n",
                {"router", "\"a\"", "\"b\""});
  ExpectRefused(a + " - {name: b, services: [feedback], listen: '127.0.0.1:2', experts: {slices: [1]}}\n",
                {"not the service"});
  ExpectRefused(a + " - {name: b, services: [], listen: '127.0.0.1:2'}\n", {"no services"});
  ExpectRefused(a + " - {name: b, services: [feedback]}\n", {"listen"});
  ExpectRefused(a + " - {name: b, services: [feedback], listen: 'unix:'}\n", {"path is missing"});
  ExpectRefused(a + " - {name: b, services: [feedback], listen: '127.0.0.1:2', http: 'unix:/x'}\n", {"http"});
  ExpectRefused(a + " - {services: [feedback], listen: '127.0.0.1:2'}\n", {"no name"});
  ExpectRefused("tls: {certificate: a.pem}\n", {"together"});
  ExpectRefused("state: {backend: redis}\n", {"state.redis"});
}

TEST_F(ConfigTest, ExpertsAreNumbersAndRanges) {
  const auto slices = [this](const std::string& text) {
    return Load("processes:\n - {name: a, services: [experts], listen: '127.0.0.1:1', experts: {slices: " +
                    text + "}}\n",
                {{"HOME", "/h"}});
  };
  const auto config = slices("[0-2, 7, 9-9]");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->processes.front().expert_slices, (std::vector<int64_t>{0, 1, 2, 7, 9}));
  for (const char* wrong :
       {"[2-1]", "[-1]", "[1-]", "[-]", "[0-99999]", "[1-2-3]", "[0-1, 1]", "[a-b]", "[]", "0-1"}) {
    EXPECT_EQ(slices(wrong).status().code(), StatusCode::kInvalidArgument) << wrong;
  }
}

TEST_F(ConfigTest, AnEmptyHomeIsNone) {
  const auto config = LoadConfig("", {{"HOME", "/h"}, {"CONCLAVE_HOME", ""}}, {});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->home, "/h/.local/share/conclave");
}

TEST_F(ConfigTest, TheExampleClusterIsValid) {
  const auto path =
      std::filesystem::path(CONCLAVE_TEST_DATA).parent_path().parent_path() / "examples" / "cluster.yaml";
  const auto config = LoadConfig(path, {{"HOME", "/h"}, {"CONCLAVE_HOME", "/srv/c"}}, {});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  ASSERT_EQ(config->processes.size(), 7u);
  const ProcessConfig* decoder = *config->ProcessNamed("decoder");
  EXPECT_EQ(config->AddressesOf("experts", *decoder),
            (std::vector<std::string>{"unix:/srv/c/run/experts-0.sock", "unix:/srv/c/run/experts-1.sock"}));
  EXPECT_EQ((*config->ProcessNamed("experts-1"))->expert_slices, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(config->AllAddresses(*decoder).at("router"), (std::vector<std::string>{"127.0.0.1:7400"}));
  const auto missing = config->ProcessNamed("decodr");
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find("\"decoder\""), std::string::npos);
  EXPECT_EQ(config->ProcessNamed("").status().code(), StatusCode::kNotFound);
}

TEST(NearestTest, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("ab", "ba"), 1u);
  EXPECT_EQ(NearestTo("thrads", {"model", "threads"}), "threads");
  EXPECT_EQ(NearestTo("x", {}), "");
}

TEST(ConfigSchemaTest, ByteCountsMayHaveAUnit) {
  EXPECT_EQ(*ParseInteger("2 KiB", 0, 1 << 20), 2048);
  EXPECT_EQ(*ParseInteger("3MiB", 0, 1 << 30), 3 << 20);
  for (const char* bad : {"", "KiB", "1.5GiB", "1kb", " 1", "0x10"}) {
    EXPECT_FALSE(ParseInteger(bad, 0, 1 << 30).ok()) << bad;
  }
}

}  // namespace
}  // namespace conclave::platform
