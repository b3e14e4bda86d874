//! Expressions become values with holes, or a problem that says what they lack.

use super::database::{database_fields, store};
use super::environment::{Scene, endpoint};
use super::{Hole, Value};
use crate::diagnostic::{Problem, Problems, suggestion};
use crate::format::expression::{Expression, Part, Template};
use crate::format::service::{Dependency, Port, ServiceFile};

/// A text with its expressions as holes.
pub(crate) fn filled(template: &Template, file: &ServiceFile, scene: &Scene<'_>, problems: &mut Problems) -> Value {
    let mut filled = Value::default();
    let mut places = template.hole_places.iter();
    for part in &template.parts {
        match part {
            Part::Text(text) => filled.extend(Value::text(text)),
            Part::Hole(expression) => {
                let place = places.next().unwrap_or(&template.place);
                match expand(expression, file, scene) {
                    Ok(value) => filled.extend(value),
                    // What it lacks may stand where another problem was noted.
                    Err(lack) if lack.is_excused => {}
                    Err(Lack { message, mend, .. }) => {
                        let problem = Problem::new("expression", place.clone(), message);
                        problems.add(match mend {
                            Some(mend) => problem.mend(mend),
                            None => problem,
                        });
                    }
                }
            }
        }
    }
    filled
}

/// Why an expression has no value.
struct Lack {
    message: String,
    mend: Option<String>,
    /// Whether the field that lacks it has problems of its own.
    is_excused: bool,
}

fn expand(expression: &Expression, file: &ServiceFile, scene: &Scene<'_>) -> Result<Value, Lack> {
    let port_of = |of: &ServiceFile, name: Option<&String>, whose: &str| {
        let found = match name {
            None => Port::primary(&of.ports),
            Some(name) => of.ports.iter().find(|port| port.name == *name),
        };
        found.cloned().ok_or_else(|| {
            let known: Vec<_> = of.ports.iter().map(|port| port.name.as_str()).collect();
            let (message, mend) = match name {
                _ if known.is_empty() => (format!("{whose} has no port"), Some(format!("add `ports:` to {whose}"))),
                None => (format!("{whose} has no primary port"), None),
                Some(name) => (
                    format!("{whose} has no port `{}`", name.escape_debug()),
                    Some(format!("its ports: {}", known.join(", "))),
                ),
            };
            // That none of several is primary is noted where they are written.
            let is_excused = of.is_broken("ports") || name.is_none() && known.len() > 1;
            Lack { message, mend, is_excused }
        })
    };
    match expression {
        Expression::Version => Ok(Value::hole(Hole::Version)),
        Expression::Own { port, field } => {
            let port = port_of(file, port.as_ref(), "this service")?;
            Ok(endpoint(&file.name, &port, *field))
        }
        Expression::PublicUrl { alias } => {
            let (name, target) = match alias {
                None => (&file.name, Some(file)),
                Some(alias) => {
                    let edge = edge(alias, file)?;
                    (&edge.service, scene.files.get(edge.service.as_str()).copied())
                }
            };
            // An unknown service is a problem of its own, noted where the edge is written.
            let Some(target) = target else { return Ok(Value::default()) };
            if target.public.is_none() {
                return Err(Lack {
                    message: format!("`{name}` is no entry into the cluster"),
                    mend: Some(format!("add `public: {{ path: / }}` to `{name}`, or write `url`")),
                    is_excused: target.is_broken("public"),
                });
            }
            Ok(Value::hole(Hole::PublicUrl(name.clone())))
        }
        Expression::Secret(name) => {
            if file.secrets.iter().any(|secret| secret.name == *name) {
                return Ok(Value::hole(Hole::Secret(name.clone())));
            }
            let mend = match suggestion(name, file.secrets.iter().map(|secret| secret.name.as_str())) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("add `{}` to `secrets`", name.escape_debug()),
            };
            Err(Lack {
                message: format!("this service has no secret `{}`", name.escape_debug()),
                mend: Some(mend),
                is_excused: file.is_broken("secrets"),
            })
        }
        Expression::Service { alias, port, field } => {
            let edge = edge(alias, file)?;
            // An unknown service is a problem of its own, noted where the edge is written.
            let Some(target) = scene.files.get(edge.service.as_str()) else { return Ok(Value::default()) };
            let port = port_of(target, port.as_ref(), &format!("`{}`", edge.service))?;
            Ok(endpoint(&edge.service, &port, *field))
        }
        Expression::Database { alias, field } => {
            let Some(used) = file.databases.iter().find(|used| used.alias == *alias) else {
                let known: Vec<&str> = file.databases.iter().map(|used| used.alias.as_str()).collect();
                let mend = match suggestion(alias, known.iter().copied()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None if known.is_empty() => "add it to `databases`".to_owned(),
                    None => format!("its databases: {}", known.join(", ")),
                };
                return Err(Lack {
                    message: format!("this service has no database `{}`", alias.escape_debug()),
                    mend: Some(mend),
                    is_excused: file.is_broken("databases"),
                });
            };
            // An unknown database or kind is a problem of its own.
            let Some(kind) = scene.kind(used) else { return Ok(Value::default()) };
            let known: Vec<_> = database_fields(kind).collect();
            if !known.contains(field) {
                let names: Vec<&str> = known.iter().map(|field| field.as_str()).collect();
                return Err(Lack {
                    message: format!("{} has no `{}`", kind.kind, field.as_str()),
                    mend: Some(format!("it has {}", names.join(", "))),
                    is_excused: false,
                });
            }
            Ok(store(&used.address(&file.name), &used.params, *field, kind))
        }
    }
}

/// The dependency that a service knows by a name.
fn edge<'f>(alias: &str, file: &'f ServiceFile) -> Result<&'f Dependency, Lack> {
    file.dependencies.iter().find(|edge| edge.alias == alias).ok_or_else(|| {
        let known = file.dependencies.iter().map(|edge| edge.alias.as_str());
        let mend = match suggestion(alias, known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("add `{}` to `dependencies`", alias.escape_debug()),
        };
        Lack {
            message: format!("this service depends on nothing called `{}`", alias.escape_debug()),
            mend: Some(mend),
            is_excused: file.is_broken("dependencies"),
        }
    })
}
