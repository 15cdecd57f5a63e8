#include "services/router/service_backends.h"

#include <gtest/gtest.h>

namespace conclave::router {
namespace {

/// A server listens before its modules are started: a request may come while the router has no channel yet.
TEST(ServiceBackendsTest, RequestBeforeTheServicesAreThereIsToldToComeAgain) {
  platform::ChannelRegistry channels{{}, {}, 1 << 20};
  const auto backends = std::make_shared<ServiceBackends>(channels, caf::actor(), caf::actor());
  Status status;
  backends->GetModel({}, [&](const Result<ModelInfo>& model) { status = model.status(); });
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.ToString();
  EXPECT_GT(status.retry_after_ms(), 0);
}

}  // namespace
}  // namespace conclave::router
