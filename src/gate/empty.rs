//! Bodies that can be empty.

/// A response body that can be empty. Every body with `Default`.
#[expect(
    unnameable_types,
    reason = "a bound that the compiler explains; users implement `Default`"
)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the body of an answer of this layer, because it cannot be empty",
    note = "the layer answers some requests itself, by redirects and refusals without a body, and an empty body needs \
            `{Self}: Default`",
    note = "make it a body that has one, between the layer and the service, by `map_response` of \
            `tower::ServiceBuilder`: `|response: Response<_>| response.map(Body::new)` with the `Body` of your framework"
)]
pub trait CanBeEmpty: Default {}

#[diagnostic::do_not_recommend]
impl<B: Default> CanBeEmpty for B {}
