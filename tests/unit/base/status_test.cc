#include "base/status.h"

#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "base/result.h"

namespace conclave {
namespace {

TEST(StatusTest, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status, Status::Ok());
  EXPECT_EQ(status.ToString(), "OK");
}

TEST(StatusTest, CodesAreGrpcs) {
  EXPECT_EQ(static_cast<int>(InvalidArgument("x").code()), 3);
  EXPECT_EQ(static_cast<int>(ResourceExhausted("x").code()), 8);
  EXPECT_EQ(static_cast<int>(Unauthenticated("x").code()), 16);
  EXPECT_EQ(StatusCodeName(StatusCode::kDeadlineExceeded), "DEADLINE_EXCEEDED");
  EXPECT_EQ(StatusCodeName(StatusCode::kUnauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(17)), "UNKNOWN");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(-1)), "UNKNOWN");
}

TEST(StatusTest, EveryMakerSetsItsCode) {
  const std::pair<Status, std::string_view> cases[] = {
      {Cancelled("m"), "CANCELLED"},
      {InvalidArgument("m"), "INVALID_ARGUMENT"},
      {DeadlineExceeded("m"), "DEADLINE_EXCEEDED"},
      {NotFound("m"), "NOT_FOUND"},
      {AlreadyExists("m"), "ALREADY_EXISTS"},
      {PermissionDenied("m"), "PERMISSION_DENIED"},
      {ResourceExhausted("m"), "RESOURCE_EXHAUSTED"},
      {FailedPrecondition("m"), "FAILED_PRECONDITION"},
      {OutOfRange("m"), "OUT_OF_RANGE"},
      {Unimplemented("m"), "UNIMPLEMENTED"},
      {Internal("m"), "INTERNAL"},
      {Unavailable("m"), "UNAVAILABLE"},
      {DataLoss("m"), "DATA_LOSS"},
      {Unauthenticated("m"), "UNAUTHENTICATED"},
  };
  for (const auto& [status, name] : cases) {
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(StatusCodeName(status.code()), name);
    EXPECT_EQ(status.message(), "m");
  }
}

TEST(StatusTest, AnnotateKeepsCodeAndRetryHint) {
  const Status annotated = Unavailable("gone").WithRetryAfterMs(250).Annotate("shard 2");
  EXPECT_EQ(annotated.code(), StatusCode::kUnavailable);
  EXPECT_EQ(annotated.message(), "shard 2: gone");
  EXPECT_EQ(annotated.retry_after_ms(), 250);
  EXPECT_EQ(Status::Ok().Annotate("nowhere"), Status::Ok());
}

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  CONCLAVE_ASSIGN_OR_RETURN(const int half, Half(value));
  CONCLAVE_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Status Check(int value) {
  CONCLAVE_RETURN_IF_ERROR(Quarter(value).status());
  return Status::Ok();
}

TEST(ResultTest, HoldsValueOrStatus) {
  const Result<int> good = Half(4);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 2);
  EXPECT_TRUE(good.status().ok());
  const Result<int> bad = Half(3);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.status(), InvalidArgument("odd"));
}

TEST(ResultTest, MacrosPassErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status(), InvalidArgument("odd"));
  EXPECT_TRUE(Check(4).ok());
  EXPECT_EQ(Check(5).code(), StatusCode::kInvalidArgument);
}

TEST(ResultTest, MovesMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

}  // namespace
}  // namespace conclave
