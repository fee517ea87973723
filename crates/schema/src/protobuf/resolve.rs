//! From descriptors to a schema: what is reachable from one message, with everything that is implied said.

use std::collections::BTreeMap;

use prost::Message as _;

use super::{
    Enum, Field, Kind, Packing, Presence, Schema, Shape, Type,
    descriptor::{self, FieldType, FileDescriptorSet, Label, MessageType},
    features::{Features, Nesting, Text},
    kind::Scalar,
    pool::{Definition, Pool, identifier, target},
};
use crate::{DESCRIPTOR_BYTES_MAX, Error};

mod default;
pub(super) use default::hex;

/// The largest field number.
const NUMBER_MAX: u32 = (1 << 29) - 1;

/// A message as its descriptor has it.
#[derive(Clone, Copy)]
struct Owner<'a> {
    name: &'a str,
    message: &'a MessageType,
    features: Features,
}

impl Schema {
    /// The schema of a message in an encoded `FileDescriptorSet`, or of the only one it could be.
    pub(crate) fn read(set: &[u8], message: Option<&str>) -> Result<Self, Error> {
        if DESCRIPTOR_BYTES_MAX < set.len() {
            let size = set.len();
            return Err(Error::new(format!(
                "{size} bytes: at most {DESCRIPTOR_BYTES_MAX} are read"
            )));
        }
        let set = FileDescriptorSet::decode(set)
            .ok()
            .filter(|set| !set.file.is_empty())
            .ok_or_else(|| {
                Error::new(
                    "is no FileDescriptorSet; write one with protoc --include_imports --descriptor_set_out=SET.binpb, or \
                     buf build -o SET.binpb",
                )
            })?;
        let pool = Pool::of(&set)?;
        let root = root(&pool, message)?;
        let types = closure(&pool, &root)?;
        Ok(Self { root, types })
    }
}

/// The message that is meant.
fn root(pool: &Pool<'_>, wanted: Option<&str>) -> Result<String, Error> {
    let known = || match pool.outermost() {
        [] => "none".to_owned(),
        names => names.iter().take(20).cloned().collect::<Vec<_>>().join(", "),
    };
    match (wanted, pool.outermost()) {
        (Some(name), _) => match pool.get(name) {
            Some(Definition::Message(..)) => Ok(name.to_owned()),
            Some(Definition::Enum(..)) => Err(Error::new(format!("{name} is an enum"))),
            None => Err(Error::new(format!("has no message {name}; it has {}", known()))),
        },
        (None, [name]) => Ok(name.clone()),
        (None, _) => Err(Error::new(format!("say which message is meant; it has {}", known()))),
    }
}

/// Every type that can be reached from a message.
fn closure(pool: &Pool<'_>, root: &str) -> Result<BTreeMap<String, Type>, Error> {
    let mut types = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(name) = pending.pop() {
        if types.contains_key(&name) {
            continue;
        }
        let found = match pool.get(&name) {
            Some(Definition::Message(message, features)) => {
                Type::Message(fields(pool, Owner { name: &name, message, features })?)
            }
            Some(Definition::Enum(it, features)) => Type::Enum(enumeration(it, features)?),
            None => {
                return Err(Error::new(format!(
                    "lacks {name}; write the set with its imports (protoc --include_imports)"
                )));
            }
        };
        pending.extend(mentioned(&found).map(str::to_owned));
        types.insert(name, found);
    }
    Ok(types)
}

/// The types that a type mentions.
fn mentioned(found: &Type) -> impl Iterator<Item = &str> {
    let fields = match found {
        Type::Message(fields) => Some(fields.values()),
        Type::Enum(_) => None,
    };
    fields.into_iter().flatten().filter_map(|field| match &field.shape {
        Shape::One { kind, .. } | Shape::Many { kind, .. } => kind.type_name(),
        Shape::Map { key: _, value } => value.type_name(),
    })
}

fn fields(pool: &Pool<'_>, owner: Owner<'_>) -> Result<BTreeMap<u32, Field>, Error> {
    let options = owner.message.options.as_ref();
    if options.is_some_and(|it| it.message_set_wire_format == Some(true)) {
        return Err(Error::new(format!(
            "{} is a MessageSet, which has no canonical form",
            owner.name
        )));
    }
    let mut fields = BTreeMap::new();
    let own = owner.message.field.iter().map(|field| own_field(pool, owner, field));
    let extensions = pool.extensions(owner.name).iter().map(|(name, extension)| {
        let place = format!("[{name}]");
        let features = extension.features.within(features_of(extension.field));
        let shape = shape(pool, &place, extension.field, features, Apart::Yes)?;
        Ok((extension.field, Field { name: place, json_name: None, oneof: None, shape }))
    });
    for field in own.chain(extensions) {
        let (said, field) = field?;
        let place = format!("{}.{}", owner.name, field.name);
        let number = said.number.and_then(|it| u32::try_from(it).ok());
        let number = number.filter(|it| (1..=NUMBER_MAX).contains(it));
        let number = number.ok_or_else(|| Error::new(format!("{place} has no valid number")))?;
        if fields.insert(number, field).is_some() {
            return Err(Error::new(format!(
                "{place} has a number that another field has: {number}"
            )));
        }
    }
    Ok(fields)
}

fn own_field<'a>(
    pool: &Pool<'_>,
    owner: Owner<'_>,
    field: &'a descriptor::Field,
) -> Result<(&'a descriptor::Field, Field), Error> {
    let name = identifier(field.name.as_deref())?.to_owned();
    let place = format!("{}.{name}", owner.name);
    let index = field.oneof_index.filter(|_| field.proto3_optional != Some(true));
    let mut features = owner.features;
    let mut oneof = None;
    if let Some(index) = index {
        let declared = usize::try_from(index).ok().and_then(|it| owner.message.oneof_decl.get(it));
        let declared = declared.ok_or_else(|| Error::new(format!("{place} is in no oneof")))?;
        features = features.within(declared.options.as_ref().and_then(|it| it.features.as_ref()));
        oneof = Some(identifier(declared.name.as_deref())?.to_owned());
    }
    let features = features.within(features_of(field));
    let is_apart = oneof.is_some() || field.proto3_optional == Some(true);
    let apart = if is_apart { Apart::Yes } else { Apart::No };
    let shape = shape(pool, &place, field, features, apart)?;
    let json_name = field.json_name.clone().filter(|it| *it != derived_json_name(&name));
    Ok((field, Field { name, json_name, oneof, shape }))
}

fn features_of(field: &descriptor::Field) -> Option<&descriptor::FeatureSet> {
    field.options.as_ref()?.features.as_ref()
}

/// Whether a field's presence is known for where it stands: in a oneof, as an extension, or behind `optional`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Apart {
    Yes,
    No,
}

fn shape(
    pool: &Pool<'_>,
    place: &str,
    field: &descriptor::Field,
    features: Features,
    apart: Apart,
) -> Result<Shape, Error> {
    let kind = kind(place, field, features)?;
    if field.label() == Label::Repeated {
        if let Some(entry) = map_entry(pool, &kind) {
            return map(entry);
        }
        let packed = field.options.as_ref().and_then(|it| it.packed);
        let packing = match packed {
            _ if !kind.is_packable() => Packing::Expanded,
            Some(true) => Packing::Packed,
            Some(false) => Packing::Expanded,
            None => features.packing,
        };
        return Ok(Shape::Many { kind, packing });
    }
    let presence = match features.presence {
        _ if field.label() == Label::Required => Presence::Required,
        Presence::Implicit if kind.is_message() || apart == Apart::Yes => Presence::Explicit,
        Presence::Implicit | Presence::Explicit | Presence::Required => features.presence,
    };
    let default = default::default(pool, place, field, &kind)?;
    Ok(Shape::One { kind, presence, default })
}

fn kind(place: &str, field: &descriptor::Field, features: Features) -> Result<Kind, Error> {
    let name = || {
        let name = target(field.type_name.as_deref().unwrap_or_default(), place)?;
        Ok::<_, Error>(name.to_owned())
    };
    let known = field.r#type.and_then(|it| FieldType::try_from(it).ok());
    let known = known.ok_or_else(|| Error::new(format!("{place} is of no known type")))?;
    Ok(Kind::Scalar(match known {
        FieldType::Group => return Ok(Kind::Group(name()?)),
        FieldType::Message if features.nesting == Nesting::Delimited => {
            return Ok(Kind::Group(name()?));
        }
        FieldType::Message => return Ok(Kind::Message(name()?)),
        FieldType::Enum => return Ok(Kind::Enum(name()?)),
        FieldType::String if features.text == Text::Unverified => Scalar::UncheckedString,
        FieldType::String => Scalar::String,
        FieldType::Double => Scalar::Double,
        FieldType::Float => Scalar::Float,
        FieldType::Int64 => Scalar::Int64,
        FieldType::Uint64 => Scalar::Uint64,
        FieldType::Int32 => Scalar::Int32,
        FieldType::Fixed64 => Scalar::Fixed64,
        FieldType::Fixed32 => Scalar::Fixed32,
        FieldType::Bool => Scalar::Bool,
        FieldType::Bytes => Scalar::Bytes,
        FieldType::Uint32 => Scalar::Uint32,
        FieldType::Sfixed32 => Scalar::Sfixed32,
        FieldType::Sfixed64 => Scalar::Sfixed64,
        FieldType::Sint32 => Scalar::Sint32,
        FieldType::Sint64 => Scalar::Sint64,
    }))
}

/// The entry that a map field is a list of.
fn map_entry<'a>(pool: &Pool<'a>, kind: &Kind) -> Option<(&'a MessageType, Features)> {
    match pool.get(kind.type_name()?)? {
        Definition::Message(message, features) => {
            let is_entry = message.options.as_ref()?.map_entry == Some(true);
            is_entry.then_some((message, features))
        }
        Definition::Enum(..) => None,
    }
}

fn map((entry, features): (&MessageType, Features)) -> Result<Shape, Error> {
    let place = entry.name.as_deref().unwrap_or_default();
    let side = |number| {
        let field = entry.field.iter().find(|it| it.number == Some(number));
        let field = field.ok_or_else(|| Error::new(format!("{place} is no entry of a map")))?;
        // In a map, messages are always behind their length.
        let features =
            Features { nesting: Nesting::Prefixed, ..features.within(features_of(field)) };
        kind(place, field, features)
    };
    Ok(Shape::Map { key: side(1)?, value: side(2)? })
}

fn enumeration(said: &descriptor::Enum, features: Features) -> Result<Enum, Error> {
    let mut values: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for value in &said.value {
        let name = identifier(value.name.as_deref())?.to_owned();
        values.entry(value.number.unwrap_or_default()).or_default().push(name);
    }
    for names in values.values_mut() {
        names.sort_unstable();
    }
    Ok(Enum { openness: features.openness, values })
}

/// The name in the JSON mapping that follows from a field's name.
fn derived_json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut is_raised = false;
    for c in name.chars() {
        if c == '_' {
            is_raised = true;
        } else {
            json.push(if is_raised { c.to_ascii_uppercase() } else { c });
            is_raised = false;
        }
    }
    json
}
