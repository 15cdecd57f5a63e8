#include "platform/metrics/metrics.h"

#include <atomic>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/metrics/http_server.h"
#include "platform/metrics/limits.h"
#include "platform/rpc/metrics.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::platform {
namespace {

TEST(MetricsTest, NamesAreThoseOfTheGoldenList) {
  Metrics metrics;
  metrics.Counter(kCallsMetric, {{"method", "m"}, {"code", "OK"}});
  metrics.Gauge(kRunningCallsMetric);
  metrics.Histogram(kCallDurationMetric, DurationBucketsS(), {{"method", "m"}});
  std::ifstream golden(std::filesystem::path(CONCLAVE_TEST_DATA).parent_path() /
                       "unit/platform/metric_names.golden");
  std::vector<std::string> names;
  for (std::string line; std::getline(golden, line);) names.push_back(line);
  EXPECT_EQ(metrics.Names(), names);
}

TEST(MetricsTest, HostileLabelsShareOneSeries) {
  Metrics metrics;
  const MetricDefinition definition{"conclave_test_total", "For a test."};
  for (size_t i = 0; i < 2 * kMaxSeriesPerMetric; ++i) {
    metrics.Counter(definition, {{"tenant", std::to_string(i)}}).Increment();
  }
  EXPECT_EQ(metrics.Counter(definition, {{"tenant", "new"}}).Value(),
            static_cast<double>(kMaxSeriesPerMetric));
  EXPECT_EQ(metrics.Counter(definition, {{"tenant", "7"}}).Value(), 1);
}

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServer::Options Options(std::string address = "127.0.0.1:0") {
    return {.address = std::move(address), .metrics = &metrics_, .ready = [this] { return ready_.load(); }};
  }

  Metrics metrics_;
  std::atomic<bool> ready_{false};
};

TEST_F(HttpServerTest, ServesMetricsAndHealth) {
  metrics_.Counter({"conclave_test_total", "For a test."}).Increment();
  const auto server = HttpServer::Start(Options());
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  httplib::Client client("http://" + (*server)->address());
  const auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->status, 200);
  EXPECT_NE(metrics->body.find("conclave_test_total 1"), std::string::npos);
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  ready_ = true;
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  EXPECT_EQ(client.Get("/nothing")->status, 404);
  EXPECT_EQ(client.Post("/metrics", std::string(kMaxHttpBodyBytes + 1, 'x'), "text/plain")->status, 413);
}

TEST_F(HttpServerTest, IdleConnectionsDoNotHoldUpAProbe) {
  ready_ = true;
  const auto server = HttpServer::Start(Options());
  ASSERT_TRUE(server.ok());
  const std::string& address = (*server)->address();
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  std::vector<int> idle;
  for (size_t i = 0; i + 1 < kHttpThreads; ++i) {
    idle.push_back(socket(AF_INET, SOCK_STREAM, 0));
    const sockaddr_in to{.sin_family = AF_INET,
                         .sin_port = htons(static_cast<uint16_t>(port)),
                         .sin_addr = {htonl(INADDR_LOOPBACK)},
                         .sin_zero = {}};
    ASSERT_EQ(connect(idle.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    ASSERT_EQ(send(idle.back(), "GET /", 5, 0), 5);
  }
  httplib::Client client("http://" + address);
  client.set_read_timeout(std::chrono::seconds(kHttpTimeoutS) / 2);
  const auto probe = client.Get("/readyz");
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->status, 200);
  for (const int descriptor : idle) close(descriptor);
}

TEST_F(HttpServerTest, APortInUseIsNamed) {
  const auto server = HttpServer::Start(Options());
  ASSERT_TRUE(server.ok());
  const auto second = HttpServer::Start(Options((*server)->address()));
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find((*server)->address()), std::string::npos)
      << second.status().ToString();
}

TEST_F(HttpServerTest, StaysOnLoopbackUnlessToldOtherwise) {
  auto options = Options("0.0.0.0:0");
  EXPECT_EQ(HttpServer::Start(options).status().code(), StatusCode::kFailedPrecondition);
  options.insecure = true;
  EXPECT_TRUE(HttpServer::Start(options).ok());
  EXPECT_EQ(HttpServer::Start(Options("nonsense")).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace conclave::platform
