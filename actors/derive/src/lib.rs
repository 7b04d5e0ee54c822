//! `#[derive(Message)]` and `#[derive(Agent)]`: what can be said about a type in one line.
//!
//! A message has a wire name and a reply type, checked at compile time; an agent has a list of the messages it handles.
//! Neither derive looks at the fields: how they travel is serde's business.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, LitStr, Path, Token, Type, parse_macro_input, parse_quote};

/// Implements `Message`: `#[message(name = "greet", reply = String)]`.
///
/// * `name`, required: the wire name, `[A-Za-z0-9._-]`, 1 to 64 bytes.
/// * `reply`: what a `call` answers; `()` when left out.
/// * `item`: the type of a streamed piece; it also implements `Streaming`.
/// * `crate`: where `Message` lives, for those who renamed the crate.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Implements `Agent` with nothing but its table: `#[agent(handles(Greet, Forget))]`.
///
/// For an agent that also has something to do when it starts, stops or is restarted, write the `impl` by hand.
/// `crate = path` says where `Agent` lives, for those who renamed the crate.
#[proc_macro_derive(Agent, attributes(agent))]
pub fn derive_agent(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_agent(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand_agent(input: &DeriveInput) -> syn::Result<Tokens> {
    let mut handles: Vec<Type> = Vec::new();
    let mut root: Path = parse_quote!(::connectome);
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("agent")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("handles") {
                let list;
                syn::parenthesized!(list in meta.input);
                handles.extend(Punctuated::<Type, Token![,]>::parse_terminated(&list)?);
            } else if meta.path.is_ident("crate") {
                root = meta.value()?.parse()?;
            } else {
                return Err(meta.error("expected `handles(...)` or `crate`"));
            }
            Ok(())
        })?;
    }
    let target = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics #root::Agent for #target #arguments #bounds {
            fn handles(table: &mut #root::Table<Self>) {
                #(table.on::<#handles>();)*
            }
        }
    })
}

fn expand(input: &DeriveInput) -> syn::Result<Tokens> {
    let Words { name, reply, item, root } = Words::of(input)?;
    let target = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let streaming = item.map(|item| {
        quote! { impl #generics #root::Streaming for #target #arguments #bounds { type Item = #item; } }
    });
    Ok(quote! {
        impl #generics #root::Message for #target #arguments #bounds {
            const NAME: &'static str = #name;
            type Reply = #reply;
        }
        #streaming
    })
}

/// What the attribute says.
struct Words {
    name: LitStr,
    reply: Type,
    item: Option<Type>,
    root: Path,
}

impl Words {
    fn of(input: &DeriveInput) -> syn::Result<Words> {
        let (mut name, mut reply, mut item) = (None, None, None);
        let mut root: Path = parse_quote!(::connectome);
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("message")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    name = Some(checked(meta.value()?.parse()?)?);
                } else if meta.path.is_ident("reply") {
                    reply = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("item") {
                    item = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("crate") {
                    root = meta.value()?.parse()?;
                } else {
                    return Err(meta.error("expected `name`, `reply`, `item` or `crate`"));
                }
                Ok(())
            })?;
        }
        let name = name.ok_or_else(|| {
            syn::Error::new_spanned(&input.ident, "a message needs a wire name: #[message(name = \"...\")]")
        })?;
        Ok(Words { name, reply: reply.unwrap_or_else(|| parse_quote!(())), item, root })
    }
}

fn checked(name: LitStr) -> syn::Result<LitStr> {
    let text = name.value();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=64).contains(&text.len()) || !text.chars().all(fits) {
        return Err(syn::Error::new(
            name.span(),
            "a wire name is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
        ));
    }
    Ok(name)
}
