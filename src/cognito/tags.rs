//! Tags of pools.

use cenote_interface::types::*;

use crate::admin::tags as admin;
use crate::cx::Cx;
use crate::error::Result;

pub async fn tag_resource(cx: Cx, input: TagResourceRequest) -> Result<TagResourceResponse> {
    let pool = admin::pool_of(&cx, &input.resource_arn).await?;
    admin::add(&cx, &pool, &input.tags).await?;
    Ok(TagResourceResponse {})
}

pub async fn untag_resource(cx: Cx, input: UntagResourceRequest) -> Result<UntagResourceResponse> {
    let pool = admin::pool_of(&cx, &input.resource_arn).await?;
    admin::remove(&cx, &pool, &input.tag_keys).await?;
    Ok(UntagResourceResponse {})
}

pub async fn list_tags_for_resource(
    cx: Cx,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse> {
    let pool = admin::pool_of(&cx, &input.resource_arn).await?;
    Ok(ListTagsForResourceResponse {
        tags: Some(pool.model().user_pool_tags.clone().unwrap_or_default()),
    })
}
