#include "services/router/token_listing.h"

#include <gtest/gtest.h>

#include "services/router/limits.h"

namespace conclave::router {
namespace {

const std::string kHash(64, 'a');

/// A page of a vocabulary of so many tokens.
v1::ListTokensResponse Page(uint32_t vocabulary_size, const std::vector<std::string>& texts,
                            const std::vector<int32_t>& special = {}) {
  v1::ListTokensResponse page;
  page.mutable_model()->set_model_hash(kHash);
  page.set_vocabulary_size(vocabulary_size);
  for (const std::string& text : texts) {
    *page.mutable_text() += text;
    page.add_lengths(static_cast<uint32_t>(text.size()));
  }
  page.mutable_special_token_ids()->Add(special.begin(), special.end());
  return page;
}

TEST(TokenListingTest, PutsPagesTogether) {
  TokenListing listing(kHash);
  EXPECT_EQ(listing.NextRequest().first_token_id(), 0);
  EXPECT_FALSE(listing.complete());
  ASSERT_TRUE(listing.Take(Page(5, {"a", "<end>", "\xE2\x82"}, {1})).ok());
  EXPECT_FALSE(listing.complete());
  EXPECT_EQ(listing.NextRequest().first_token_id(), 3);
  ASSERT_TRUE(listing.Take(Page(5, {"", "<tool>"}, {4})).ok());
  ASSERT_TRUE(listing.complete());
  const TokenTable& table = *listing.table();
  EXPECT_EQ(table.size(), 5);
  EXPECT_EQ(table.Bytes(0), "a");
  EXPECT_EQ(table.Bytes(2), "\xE2\x82");
  EXPECT_EQ(table.Bytes(3), "");
  EXPECT_EQ(table.Bytes(4), "<tool>");
  for (int32_t id = 0; id < 5; ++id) EXPECT_EQ(table.IsSpecial(id), id == 1 || id == 4);
}

TEST(TokenListingTest, AnotherModelsPageIsRefused) {
  v1::ListTokensResponse page = Page(1, {"a"});
  page.mutable_model()->set_model_hash(std::string(64, 'b'));
  EXPECT_EQ(TokenListing(kHash).Take(page).code(), StatusCode::kFailedPrecondition);
}

TEST(TokenListingTest, PagesThatDoNotFitTogetherAreRefused) {
  v1::ListTokensResponse short_text = Page(2, {"a", "bc"});
  short_text.mutable_text()->pop_back();
  v1::ListTokensResponse long_text = Page(2, {"a", "bc"});
  *long_text.mutable_text() += "d";
  v1::ListTokensResponse huge_length = Page(2, {"a", "bc"});
  huge_length.set_lengths(1, UINT32_MAX);
  for (const v1::ListTokensResponse& page : {
           Page(2, {}),
           Page(0, {"a"}),
           Page(2, {"a", "b", "c"}),
           Page(2, {"a", "b"}, {2}),
           Page(2, {"a", "b"}, {-1}),
           Page(2, {"a", "b"}, {1, 0}),
           Page(kMostVocabularyTokens + 1, {"a"}),
           short_text,
           long_text,
           huge_length,
       }) {
    EXPECT_EQ(TokenListing(kHash).Take(page).code(), StatusCode::kInternal) << page.ShortDebugString();
  }
}

TEST(TokenListingTest, VocabularyThatChangesItsLengthIsRefused) {
  TokenListing listing(kHash);
  ASSERT_TRUE(listing.Take(Page(3, {"a"})).ok());
  EXPECT_EQ(listing.Take(Page(2, {"b"})).code(), StatusCode::kInternal);
}

TEST(TokenListingTest, VocabularyOfTooManyBytesIsRefused) {
  TokenListing listing(kHash);
  const v1::ListTokensResponse page = Page(10, {std::string(kMostVocabularyBytes / 2, 'x')});
  ASSERT_TRUE(listing.Take(page).ok());
  ASSERT_TRUE(listing.Take(page).ok());
  EXPECT_EQ(listing.Take(page).code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace conclave::router
