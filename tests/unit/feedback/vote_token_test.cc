#include "services/feedback/vote_token.h"

#include <set>

#include <gtest/gtest.h>

#include "services/feedback/base64url.h"
#include "services/feedback/limits.h"

namespace conclave::feedback {
namespace {

VoteTokenClaims Claims() {
  VoteTokenClaims claims;
  claims.set_response_id("answer-1");
  claims.set_tenant("acme");
  claims.set_expires_ms(5000);
  claims.set_nonce(std::string("\0\1\2\3\4\5\6\7\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", 16));
  return claims;
}

class VoteTokenTest : public ::testing::Test {
 protected:
  const VoteTokenSigner signer_{std::string(32, 'k')};
};

TEST_F(VoteTokenTest, CarriesWhatWasSigned) {
  const auto claims = signer_.Verify(signer_.Sign(Claims()));
  ASSERT_TRUE(claims.ok()) << claims.status().ToString();
  EXPECT_EQ(claims->SerializeAsString(), Claims().SerializeAsString());
}

TEST_F(VoteTokenTest, IsWhatPythonsHmacMakes) {
  // base64url(claims) and base64url(hmac.new(b"k" * 32, b"v1." + claims, "sha256").digest()) of Python 3.11.
  EXPECT_EQ(signer_.Sign(Claims()),
            "v1.CghhbnN3ZXItMRIEYWNtZRiIJyIQAAECAwQFBgf__v38-_r5-A."
            "E8h6bsh1iRvunwjoOkWGDIM15DXKPRQxKRYOiGUoGUA");
}

TEST_F(VoteTokenTest, EveryChangedCharacterIsRefused) {
  const std::string token = signer_.Sign(Claims());
  for (size_t i = 0; i < token.size(); ++i) {
    std::string forged = token;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    const auto claims = signer_.Verify(forged);
    ASSERT_FALSE(claims.ok()) << "character " << i;
    EXPECT_EQ(claims.status().code(), StatusCode::kUnauthenticated);
  }
}

TEST_F(VoteTokenTest, EveryTruncationIsRefused) {
  const std::string token = signer_.Sign(Claims());
  for (size_t size = 0; size < token.size(); ++size) {
    EXPECT_EQ(signer_.Verify(token.substr(0, size)).status().code(), StatusCode::kUnauthenticated) << size;
  }
  EXPECT_FALSE(signer_.Verify(token + "A").ok());
  EXPECT_FALSE(signer_.Verify(token + ".").ok());
}

TEST_F(VoteTokenTest, AnotherKeyIsRefused) {
  const VoteTokenSigner other(std::string(32, 'x'));
  EXPECT_EQ(signer_.Verify(other.Sign(Claims())).status().code(), StatusCode::kUnauthenticated);
}

TEST_F(VoteTokenTest, HugeAndBinaryTokensAreRefused) {
  EXPECT_FALSE(signer_.Verify("v1." + std::string(kMaxVoteTokenBytes, 'A')).ok());
  EXPECT_FALSE(signer_.Verify(std::string("v1.\0.\0", 6)).ok());
  EXPECT_FALSE(signer_.Verify("v1..").ok());
  EXPECT_FALSE(signer_.Verify("v1.").ok());
  EXPECT_FALSE(signer_.Verify("..").ok());
}

TEST_F(VoteTokenTest, LongestClaimsFit) {
  VoteTokenClaims claims = Claims();
  claims.set_response_id(std::string(kMaxIdBytes, 'r'));
  claims.set_tenant(std::string(kMaxIdBytes, 't'));
  claims.set_expires_ms(INT64_MAX);
  EXPECT_TRUE(signer_.Verify(signer_.Sign(claims)).ok());
}

TEST(CheckClaims, EachMistakeHasItsOwnStatus) {
  EXPECT_TRUE(CheckClaims(Claims(), "answer-1", "acme", 4999).ok());
  const Status expired = CheckClaims(Claims(), "answer-1", "acme", 5000);
  const Status other_response = CheckClaims(Claims(), "answer-2", "acme", 0);
  const Status other_tenant = CheckClaims(Claims(), "answer-1", "evil", 0);
  EXPECT_EQ(expired.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(other_response.code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(other_tenant.code(), StatusCode::kPermissionDenied);
  EXPECT_NE(other_response.message(), other_tenant.message());
}

TEST(CheckClaims, ClockThatJumpsBackDoesNotExpireATokenForGood) {
  EXPECT_FALSE(CheckClaims(Claims(), "answer-1", "acme", 9'000'000).ok());
  EXPECT_TRUE(CheckClaims(Claims(), "answer-1", "acme", 4000).ok());
  EXPECT_TRUE(CheckClaims(Claims(), "answer-1", "acme", -1).ok());
}

TEST(Base64Url, MatchesRfc4648) {
  // Section 10's vectors, without their padding.
  const std::pair<std::string, std::string> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(EncodeBase64Url(bytes), text);
    EXPECT_EQ(DecodeBase64Url(text), bytes);
  }
  EXPECT_EQ(EncodeBase64Url("\xfb\xff"), "-_8");
}

TEST(Base64Url, RefusesWhatItWouldNotWrite) {
  for (const char* text : {"A", "Zg==", "Z+", "Z/", "Zh", "Zm9", "Zm 8", "Zm9vYg="}) {
    EXPECT_FALSE(DecodeBase64Url(text).has_value()) << text;
  }
}

TEST(Sha256, MatchesFips180) {
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(RandomBytes, AreNew) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(RandomBytes(kNonceBytes).value()).second);
}

}  // namespace
}  // namespace conclave::feedback
