//! Context frame: describes a context, once per segment before its first use.
//!
//! So each segment can be read alone. A second frame for the same id describes it anew, for the
//! batches that follow.

use std::borrow::Cow;
use std::sync::Arc;

use flow::{Attribute, AttributeValue, Context, ContextId, checksum};

use super::format::{Fields, Malformed, Put, len_u32};
use super::limits::{CONTEXT_ATTRIBUTES_MAX, HEADER_PART_BYTES_MAX, TENANT_BYTES_MAX};

/// Code of a text value.
const VALUE_TEXT: u8 = 0;
/// Code of an integer value.
const VALUE_INT: u8 = 1;
/// Bytes of a description beside its texts.
const FIXED_BYTES: usize = 16 + 2 + 4;
/// Bytes of an attribute beside its texts; an integer's value is among them.
const ATTRIBUTE_BYTES: usize = 2 + 1 + 8;

/// Whether `context` can be described, and if not, why.
pub(super) fn check_context(context: &Context) -> Result<(), &'static str> {
    if context.tenant.len() > TENANT_BYTES_MAX {
        return Err("its tenant's name is too long");
    }
    if context.attributes.len() > CONTEXT_ATTRIBUTES_MAX {
        return Err("it has too many attributes");
    }
    let mut bytes = FIXED_BYTES + context.tenant.len();
    for attribute in &context.attributes {
        if attribute.key.len() > usize::from(u16::MAX) {
            return Err("the name of an attribute is too long");
        }
        bytes += ATTRIBUTE_BYTES + attribute.key.len();
        if let AttributeValue::Text(text) = &attribute.value {
            bytes += text.len();
        }
    }
    if bytes <= HEADER_PART_BYTES_MAX as usize {
        Ok(())
    } else {
        Err("its attributes are too long")
    }
}

/// Appends the header part that describes `context`, which was checked before; returns its checksum.
pub(super) fn encode_context(context: &Context, out: &mut Vec<u8>) -> u64 {
    let start = out.len();
    out.put_u128(context.id.0);
    out.put_u16(len_u16(context.tenant.len()));
    out.put_u32(len_u32(context.attributes.len()));
    out.put(context.tenant.as_bytes());
    for attribute in &context.attributes {
        out.put_u16(len_u16(attribute.key.len()));
        out.put(attribute.key.as_bytes());
        match &attribute.value {
            AttributeValue::Text(text) => {
                out.put_u8(VALUE_TEXT);
                out.put_u32(len_u32(text.len()));
                out.put(text.as_bytes());
            }
            AttributeValue::Int(number) => {
                out.put_u8(VALUE_INT);
                out.put_i64(*number);
            }
        }
    }
    checksum(&out[start..])
}

/// Reads what [`encode_context`] wrote.
pub(super) fn decode_context(header_part: &[u8]) -> Result<Context, Malformed> {
    let mut fields = Fields::new(header_part);
    let id = ContextId(fields.u128()?);
    let tenant_bytes = usize::from(fields.u16()?);
    let count = fields.u32()? as usize;
    if count > CONTEXT_ATTRIBUTES_MAX {
        return Err(Malformed::Field("attributes"));
    }
    if tenant_bytes > TENANT_BYTES_MAX {
        return Err(Malformed::Field("tenant"));
    }
    let tenant = Arc::from(fields.text(tenant_bytes, "tenant")?);
    let mut attributes = Vec::with_capacity(count);
    for _ in 0..count {
        let key_bytes = usize::from(fields.u16()?);
        let key = Cow::Owned(fields.text(key_bytes, "attribute key")?.to_owned());
        let value = match fields.u8()? {
            VALUE_TEXT => {
                let text_bytes = fields.u32()? as usize;
                AttributeValue::Text(fields.text(text_bytes, "attribute value")?.to_owned())
            }
            VALUE_INT => AttributeValue::Int(fields.i64()?),
            _ => return Err(Malformed::Field("attribute type")),
        };
        attributes.push(Attribute { key, value });
    }
    fields.end()?;
    Ok(Context { id, tenant, attributes })
}

fn len_u16(len: usize) -> u16 {
    u16::try_from(len).expect("checked before")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back() {
        let context = Context {
            id: ContextId(5),
            tenant: Arc::from("shop"),
            attributes: vec![
                Attribute::text("k8s.pod.name", "web-0 ü"),
                Attribute::int("k8s.container.restart_count", -3),
            ],
        };
        assert_eq!(check_context(&context), Ok(()));
        let mut bytes = Vec::new();
        encode_context(&context, &mut bytes);
        assert_eq!(decode_context(&bytes), Ok(context));
        for len in 0..bytes.len() {
            assert!(decode_context(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn too_much_is_refused_before_it_is_written() {
        let mut context =
            Context { id: ContextId(5), tenant: Arc::from("shop"), attributes: Vec::new() };
        context.attributes = vec![Attribute::text("note", "x".repeat(5 << 20))];
        assert!(check_context(&context).is_err());
        context.attributes = vec![Attribute::int("n", 1); CONTEXT_ATTRIBUTES_MAX + 1];
        assert!(check_context(&context).is_err());
        context.attributes = vec![Attribute::int("x".repeat(70_000), 1)];
        assert!(check_context(&context).is_err());
    }
}
