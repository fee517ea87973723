//! What a task asks of its leases and its workers, as bytes: the extras of its template, so that only what differs from
//! the default is written.

use std::sync::Arc;

use leasehold_queue::{
    Admission, Claims, Exclusivity, Guarantee, LeaseTerms, Name, SchemaPrint, Shape, Size, Template,
};

use super::wire::{Cursor, Malformed, Pen};

/// Numbers on disk: never changed, never used again for something else.
mod tag {
    pub(super) const AT_MOST_ONCE: u8 = 1;
    pub(super) const BEST_EFFORT: u8 = 2;
    pub(super) const QUEUE_TIMEOUT: u8 = 3;
    pub(super) const PROGRESS_TIMEOUT: u8 = 4;
    pub(super) const FAIRNESS_KEY: u8 = 5;
    pub(super) const SELECTOR: u8 = 6;
    pub(super) const CLAIMS: u8 = 9;
    pub(super) const SCHEMA: u8 = 10;
    pub(super) const DEPENDENCIES: u8 = 12;
    pub(super) const FAILS_FAST: u8 = 13;
    pub(super) const ADMISSION: u8 = 21;
    pub(super) const SLOTS: u8 = 22;
    pub(super) const RESOURCES: u8 = 23;
}

impl Pen {
    /// All of them, and the end of the template.
    pub(super) fn template_extras(&mut self, spec: &Template) {
        self.terms(&spec.terms);
        let key = Some(&spec.fairness_key).filter(|key| !key.is_empty());
        self.extra(tag::FAIRNESS_KEY, key, Self::name);
        self.shape(&spec.shape);
        if let Some(claims) = &spec.claims {
            self.claims(claims);
        }
        // Nobody looks at the others once a task is accepted.
        let strict = (spec.admission == Admission::Strict).then_some(2);
        self.extra(tag::ADMISSION, strict.as_ref(), |pen, kind| pen.byte(*kind));
        self.end_extras();
    }

    fn terms(&mut self, terms: &LeaseTerms) {
        let LeaseTerms { guarantee, exclusivity, queue_timeout, progress_timeout } = terms;
        match guarantee {
            Guarantee::AtLeastOnce => {}
            Guarantee::AtMostOnce => self.byte(tag::AT_MOST_ONCE),
        }
        match exclusivity {
            Exclusivity::Strict => {}
            Exclusivity::BestEffort => self.byte(tag::BEST_EFFORT),
        }
        self.extra(tag::QUEUE_TIMEOUT, queue_timeout.as_ref(), |pen, timeout| {
            pen.duration(*timeout);
        });
        self.extra(tag::PROGRESS_TIMEOUT, progress_timeout.as_ref(), |pen, timeout| {
            pen.duration(*timeout);
        });
    }

    fn shape(&mut self, shape: &Shape) {
        let Shape { selector, schema, size: Size { slots, resources } } = shape;
        let some = Some(selector).filter(|it| !it.is_empty());
        self.extra(tag::SELECTOR, some, |pen, selector| {
            pen.integer(selector.len() as u64);
            for (name, value) in selector {
                pen.name(name);
                pen.name(value);
            }
        });
        self.extra(tag::SCHEMA, schema.as_ref(), |pen, SchemaPrint(bytes)| pen.raw(bytes));
        let some = Some(slots).filter(|it| **it != 1);
        self.extra(tag::SLOTS, some, |pen, slots| pen.integer(*slots));
        let some = Some(resources).filter(|it| !it.is_empty());
        self.extra(tag::RESOURCES, some, |pen, resources| {
            pen.integer(resources.len() as u64);
            for (name, amount) in resources {
                pen.name(name);
                pen.integer(*amount);
            }
        });
    }

    fn claims(&mut self, claims: &Claims) {
        let Claims { keys, charges, dependencies, fails_fast } = claims;
        let limits = (keys, charges);
        let some = Some(&limits).filter(|_| !keys.is_empty() || !charges.is_empty());
        self.extra(tag::CLAIMS, some, |pen, (keys, charges)| pen.limits(keys, charges));
        let some = Some(dependencies).filter(|it| !it.is_empty());
        self.extra(tag::DEPENDENCIES, some, |pen, dependencies| {
            pen.integer(dependencies.len() as u64);
            for name in dependencies {
                pen.name(name);
            }
        });
        if *fails_fast {
            self.byte(tag::FAILS_FAST);
        }
    }

    fn limits(&mut self, keys: &[Name], charges: &[(Name, u32)]) {
        self.integer(keys.len() as u64);
        for key in keys {
            self.name(key);
        }
        self.integer(charges.len() as u64);
        for (key, tokens) in charges {
            self.name(key);
            self.integer(*tokens);
        }
    }
}

impl Cursor<'_> {
    /// Reads them into a template that has none.
    pub(super) fn template_extras(&mut self, spec: &mut Template) -> Result<(), Malformed> {
        let Template { terms, fairness_key, shape, claims, admission, .. } = spec;
        let mut claimed = Claims::default();
        while let Some(kind) = self.extra()? {
            match kind {
                tag::AT_MOST_ONCE => terms.guarantee = Guarantee::AtMostOnce,
                tag::BEST_EFFORT => terms.exclusivity = Exclusivity::BestEffort,
                tag::QUEUE_TIMEOUT => terms.queue_timeout = Some(self.duration()?),
                tag::PROGRESS_TIMEOUT => terms.progress_timeout = Some(self.duration()?),
                tag::FAIRNESS_KEY => *fairness_key = self.name("fairness key")?,
                tag::SELECTOR => {
                    let count = self.count("selector")?;
                    let label = |_| Ok((self.name("label")?, self.name("label")?));
                    shape.selector = (0..count).map(label).collect::<Result<_, Malformed>>()?;
                }
                tag::SCHEMA => shape.schema = Some(SchemaPrint(self.array("schema")?)),
                tag::SLOTS => shape.size.slots = self.small("slots")?,
                tag::RESOURCES => {
                    let count = self.count("resources")?;
                    let amount = |_| Ok((self.name("resource")?, self.integer("amount")?));
                    shape.size.resources =
                        (0..count).map(amount).collect::<Result<_, Malformed>>()?;
                }
                tag::CLAIMS => self.limits(&mut claimed)?,
                tag::DEPENDENCIES => {
                    let names = (0..self.count("dependencies")?).map(|_| self.name("dependency"));
                    claimed.dependencies = names.collect::<Result<_, Malformed>>()?;
                }
                tag::FAILS_FAST => claimed.fails_fast = true,
                tag::ADMISSION => {
                    *admission = match self.byte("admission")? {
                        2 => Admission::Strict,
                        kind => return Err(Malformed::UnknownKind { what: "admission", kind }),
                    };
                }
                kind => return Err(Malformed::UnknownKind { what: "term", kind }),
            }
        }
        *claims = (!claimed.is_empty()).then(|| Arc::new(claimed));
        Ok(())
    }

    fn limits(&mut self, claims: &mut Claims) -> Result<(), Malformed> {
        claims.keys = (0..self.count("concurrency keys")?)
            .map(|_| self.name("concurrency key"))
            .collect::<Result<_, _>>()?;
        claims.charges = (0..self.count("rate charges")?)
            .map(|_| Ok((self.name("rate key")?, self.small("tokens")?)))
            .collect::<Result<_, Malformed>>()?;
        Ok(())
    }
}
